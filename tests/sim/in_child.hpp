#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace paceline {

namespace detail {

inline void write_all(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd, at, size);
    if (written <= 0) ::_exit(3);
    at += written;
    size -= static_cast<std::size_t>(written);
  }
}

inline std::string read_all(int fd) {
  std::string all;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;)
    all.append(buffer, static_cast<std::size_t>(got));
  return all;
}

}  // namespace detail

/// Runs `work` in a forked child and returns its doubles, bit for bit: one process has one SimGrid
/// engine. Throws std::runtime_error with the child's message if it threw, or says how it died.
inline std::vector<double> in_child(const std::function<std::vector<double>()>& work) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    ::close(ends[0]);
    char kind = 'd';
    try {
      const std::vector<double> result = work();
      detail::write_all(ends[1], &kind, 1);
      detail::write_all(ends[1], result.data(), result.size() * sizeof(double));
    } catch (const std::exception& error) {
      kind = 'e';
      const std::string message = error.what();
      detail::write_all(ends[1], &kind, 1);
      detail::write_all(ends[1], message.data(), message.size());
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  const std::string answer = detail::read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer.empty())
    throw std::runtime_error("the child died with status " + std::to_string(status));
  if (answer[0] == 'e') throw std::runtime_error(answer.substr(1));
  std::vector<double> result((answer.size() - 1) / sizeof(double));
  std::char_traits<char>::copy(reinterpret_cast<char*>(result.data()), answer.data() + 1,
                               result.size() * sizeof(double));
  return result;
}

}  // namespace paceline
