#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "algorithms/program.hpp"
#include "sim/values/task_graph.hpp"

namespace paceline {

/// Tasks on values, which other threads do, as completions of the clock's thread.
class ValueWatch {
 public:
  /// Done once `task` (null: at once) is and poll() has seen it.
  Pending<> when_done(TaskGraph& graph, const TaskGraph::Ref& task) {
    if (!task) return {};
    Awaited awaited{std::make_shared<std::atomic<bool>>(false), new End};
    // Also a task of another thread's is seen through the flag alone: no lock is polled.
    graph.post([flag = awaited.flag] { flag->store(true, std::memory_order_release); }, {task});
    Pending<> pending{CompletionRef(awaited.end)};
    awaited_.push_back(std::move(awaited));
    return pending;
  }
  /// Returns whether any was done.
  bool poll() {
    std::vector<boost::intrusive_ptr<End>> done;
    std::erase_if(awaited_, [&](Awaited& awaited) {
      if (!awaited.flag->load(std::memory_order_acquire)) return false;
      done.push_back(std::move(awaited.end));
      return true;
    });
    for (const auto& end : done) end->finish();
    return !done.empty();
  }
  [[nodiscard]] bool idle() const { return awaited_.empty(); }

 private:
  class End final : public Completion {
   public:
    void finish() { complete(); }
    [[nodiscard]] const char* what() const override { return "values"; }
  };
  struct Awaited {
    std::shared_ptr<std::atomic<bool>> flag;
    boost::intrusive_ptr<End> end;
  };
  std::vector<Awaited> awaited_;
};

}  // namespace paceline
