#include "base/file_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "base/error.hpp"

namespace paceline {
namespace {

constexpr std::chrono::milliseconds kPatience(1000), kBetween(10);

// Whether the file that is open is still the one of that name: its last holder removes it.
bool still_there(int descriptor, const std::filesystem::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

// False when another process holds it.
bool lock_at_once(int descriptor) {
  return ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

bool lock(int descriptor) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!lock_at_once(descriptor)) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(kBetween);
  }
  return true;
}

}  // namespace

FileLock::FileLock(const std::filesystem::path& held, std::string_view by) {
  std::error_code ignored;
  lock_ = std::filesystem::is_directory(held, ignored) ? held / ".lock"
                                                       : std::filesystem::path(held) += ".lock";
  std::optional<SignalsWait> wait;  // until the file is noted, but not for another process
  do {
    wait.emplace();
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = ::open(lock_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0)
      throw InputError(
          fmt::format("{}: cannot be written: {}", held.string(), std::strerror(errno)));
    const bool free = lock_at_once(descriptor_);
    if (!free) wait.reset();
    if (!free && !lock(descriptor_)) {
      ::close(descriptor_);
      throw InputError(
          fmt::format("{}: another {} ({} is held)", held.string(), by, lock_.string()));
    }
  } while (!still_there(descriptor_, lock_));
  name_ = TemporaryName(lock_);
}

FileLock::~FileLock() {
  ::unlink(lock_.c_str());
  ::close(descriptor_);
}

}  // namespace paceline
