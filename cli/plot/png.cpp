#include "cli/plot/png.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace paceline {
namespace {

// Memory that another process may have as a file.
class Memory {
 public:
  explicit Memory(const char* name) : descriptor_(::memfd_create(name, MFD_CLOEXEC)) {
    if (descriptor_ < 0) fail();
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { ::close(descriptor_); }

  [[nodiscard]] int descriptor() const { return descriptor_; }
  void write(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n = ::write(descriptor_, text.data() + at, text.size() - at);
      if (n < 0 && errno != EINTR) fail();
      if (n > 0) at += static_cast<std::size_t>(n);
    }
    ::lseek(descriptor_, 0, SEEK_SET);
  }
  [[nodiscard]] std::string contents() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) fail();
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n =
          ::pread(descriptor_, text.data() + at, text.size() - at, static_cast<off_t>(at));
      if (n == 0 || (n < 0 && errno != EINTR)) fail();
      if (n > 0) at += static_cast<std::size_t>(n);
    }
    return text;
  }

 private:
  [[noreturn]] static void fail() {
    throw std::runtime_error(fmt::format("a picture in memory: {}", std::strerror(errno)));
  }
  int descriptor_;
};

}  // namespace

std::string png_of(const std::string& svg) {
  Memory drawing("drawing"), picture("picture");
  drawing.write(svg);
  posix_spawn_file_actions_t streams;
  ::posix_spawn_file_actions_init(&streams);
  ::posix_spawn_file_actions_adddup2(&streams, drawing.descriptor(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&streams, picture.descriptor(), STDOUT_FILENO);
  std::string words[] = {"rsvg-convert", "--zoom", "2"};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t pid = 0;
  const int failure = ::posix_spawnp(&pid, arguments[0], &streams, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&streams);
  if (failure != 0)
    throw NoConverter(
        fmt::format("a PNG needs rsvg-convert (librsvg2-bin): {}", std::strerror(failure)));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  std::string png = picture.contents();
  if (status != 0 || !png.starts_with("\x89PNG"))
    throw std::runtime_error("rsvg-convert made no picture");
  return png;
}

std::string png_picture(const std::string& svg) {
  try {
    return png_of(svg);
  } catch (const NoConverter& error) {
    throw InputError(fmt::format("--out: {}; an SVG needs nothing", error.what()));
  }
}

}  // namespace paceline
