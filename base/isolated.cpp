#include "base/isolated.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/interrupt.hpp"
#include "base/isolated_beside.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

struct Child {
  std::size_t task = 0;
  pid_t pid = -1;
  int pipe = -1;  // read end
  std::string text;
};

void write_all(int descriptor, const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(descriptor, text.data() + written, text.size() - written);
    if (n < 0 && errno != EINTR) ::_exit(1);
    if (n > 0) written += static_cast<std::size_t>(n);
  }
}

// The child's whole life. _exit: neither SimGrid's nor the parent's exit handlers are ours to run.
[[noreturn]] void live(const std::function<Json(std::size_t)>& task, std::size_t index,
                       int descriptor) {
  Json answer;
  try {
    answer["value"] = task(index);
  } catch (const InputError& error) {
    answer = {{"error", "input"}, {"message", error.what()}};
  } catch (const CheckFailed& error) {
    answer = {{"error", "check"}, {"message", error.what()}};
  } catch (const std::exception& error) {
    answer = {{"error", "other"}, {"message", error.what()}};
  }
  // A name in a message may be no UTF-8.
  write_all(descriptor, answer.dump(-1, ' ', false, Json::error_handler_t::replace));
  ::_exit(0);
}

// The child's process; its end of the pipe is closed here.
pid_t forked(const std::function<Json(std::size_t)>& task, std::size_t index,
             const int (&ends)[2]) {
  const pid_t parent = ::getpid();
  std::optional<SignalsWait> wait;
  wait.emplace();
  const pid_t pid = ::fork();
  if (pid == 0) {
    begin_as_child();
    // A killed comparison leaves nothing running, and its children no file that they were writing.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(1);
    wait.reset();
    ::close(ends[0]);
    live(task, index, ends[1]);
  }
  const int error = errno;
  if (pid > 0) child_entered(pid);
  ::close(ends[1]);
  if (pid < 0) {
    ::close(ends[0]);
    throw InputError(fmt::format("cannot make a process: {}", std::strerror(error)));
  }
  return pid;
}

Child start(const std::function<Json(std::size_t)>& task, std::size_t index) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw std::runtime_error(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  std::cout.flush();
  std::fflush(nullptr);
  return {index, forked(task, index, ends), ends[0], {}};
}

// false at the end of what the child has to say.
bool read_some(Child& child) {
  char buffer[65536];
  const ssize_t n = ::read(child.pipe, buffer, sizeof buffer);
  if (n < 0 && errno == EINTR) return true;
  if (n <= 0) return false;
  child.text.append(buffer, static_cast<std::size_t>(n));
  return true;
}

Json reap(Child& child) {
  ::close(child.pipe);
  child_left(child.pid);
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status))
    return {{"error", "other"},
            {"message", fmt::format("a process of ours was ended by signal {} ({})",
                                    WTERMSIG(status), strsignal(WTERMSIG(status)))}};
  if (WEXITSTATUS(status) != 0 || child.text.empty())
    return {{"error", "other"},
            {"message", fmt::format("a process of ours ended with exit code {} and no result",
                                    WEXITSTATUS(status))}};
  return Json::parse(child.text);
}

[[noreturn]] void rethrow(const Json& answer) {
  const auto kind = answer.at("error").get<std::string>();
  const auto message = answer.at("message").get<std::string>();
  if (kind == "input") throw InputError(message);
  if (kind == "check") throw CheckFailed(message);
  throw std::runtime_error(message);
}

}  // namespace

namespace {

using Task = std::function<Json(std::size_t)>;
using Ended = std::function<bool(std::size_t, const std::function<Json()>&)>;

void run_all(std::size_t count, const Task& task, unsigned parallel, const Ended& ended,
             const std::function<void()>& beside) {
  std::vector<Child> children;
  std::size_t next = 0;
  bool going_on = true;
  while ((going_on && next < count) || !children.empty()) {
    while (going_on && next < count && children.size() < std::max(1U, parallel))
      children.push_back(start(task, next++));
    std::vector<pollfd> waits;
    for (const Child& child : children) waits.push_back({child.pipe, POLLIN, 0});
    const int ready = ::poll(waits.data(), waits.size(), beside ? 1 : -1);
    if (beside) beside();
    if (ready <= 0) continue;  // EINTR, or nothing yet
    for (std::size_t i = children.size(); i-- > 0;) {
      if (waits[i].revents == 0 || read_some(children[i])) continue;
      Json answer = reap(children[i]);
      const std::size_t index = children[i].task;
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
      const auto value = [&answer] {
        if (answer.contains("error")) rethrow(answer);
        return Json(std::move(answer.at("value")));
      };
      going_on = ended(index, value) && going_on;
    }
  }
}

}  // namespace

void run_isolated(std::size_t count, const Task& task, unsigned parallel, const Ended& ended) {
  run_all(count, task, parallel, ended, {});
}

Json run_isolated_beside(const std::function<Json()>& task, const std::function<void()>& beside) {
  Json result;
  run_all(
      1, [&task](std::size_t) { return task(); }, 1,
      [&result](std::size_t, const std::function<Json()>& answer) {
        result = answer();
        return true;
      },
      beside);
  return result;
}

std::vector<Json> run_isolated(const std::vector<std::function<Json()>>& tasks, unsigned parallel,
                               const std::function<void(std::size_t)>& done) {
  std::vector<Json> answers(tasks.size());
  std::vector<std::exception_ptr> errors(tasks.size());
  std::size_t ended = 0;
  run_isolated(
      tasks.size(), [&tasks](std::size_t index) { return tasks[index](); }, parallel,
      [&](std::size_t index, const std::function<Json()>& answer) {
        try {
          answers[index] = answer();
        } catch (...) {
          errors[index] = std::current_exception();
        }
        if (done) done(++ended);
        return true;
      });
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  return answers;
}

}  // namespace paceline
