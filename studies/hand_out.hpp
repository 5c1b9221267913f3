#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "studies/sweep.hpp"

namespace paceline {

/// Workers in other processes, each of which does one task after another by `make_points_for`. Messages of one worker
/// come in the order in which they were sent.
class Workers {
 public:
  Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  virtual ~Workers() = default;

  [[nodiscard]] virtual std::size_t count() const = 0;
  virtual void give(std::size_t worker, const std::string& task) = 0;
  struct Answer {
    std::size_t worker = 0;
    std::string text;
  };
  /// What has come; at once.
  virtual std::optional<Answer> answer() = 0;
  /// Until about the next one.
  virtual void rest() = 0;
};

/// As `sweep`, with the points handed out as they are done, to workers and to this process, which makes one at a time
/// itself and alone writes to the store. Does not depend on how many workers there are, nor on their pace.
SweepProgress sweep_with(Workers& workers, const Study& study, Store& store,
                         const SweepSettings& settings);

/// A worker's whole sweep of the same study: until an empty task. `side_by_side`: workers that share its cores.
void make_points_for(const Study& study, unsigned side_by_side,
                     const std::function<std::string()>& task,
                     const std::function<void(const std::string&)>& answer);

}  // namespace paceline
