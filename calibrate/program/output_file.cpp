#include "calibrate/program/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace paceline {
namespace {

// Whether the file that is open is still the one of that name: its last holder removes it.
bool still_there(int descriptor, const std::filesystem::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path file)
    : file_(std::move(file)), lock_(file_.string() + ".lock") {
  std::error_code ignored;
  if (std::filesystem::exists(file_, ignored) && !std::filesystem::is_regular_file(file_, ignored))
    throw InputError(fmt::format("{}: is not a regular file", file_.string()));
  do {
    if (descriptor_ >= 0) ::close(descriptor_);
    // A file beside it, as the profile will be written: through one and a rename.
    descriptor_ = ::open(lock_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (descriptor_ < 0)
      throw InputError(
          fmt::format("{}: cannot be written: {}", file_.string(), std::strerror(errno)));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      ::close(descriptor_);
      throw InputError(
          fmt::format("{}: another paceline-calibrate is measuring into it ({} is held)",
                      file_.string(), lock_.string()));
    }  // a file system without locks: go on without
  } while (!still_there(descriptor_, lock_));
}

OutputFile::~OutputFile() {
  ::unlink(lock_.c_str());
  ::close(descriptor_);
}

}  // namespace paceline
