#include "base/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <ostream>
#include <streambuf>
#include <utility>

#include "base/error.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostRead = std::size_t{1} << 30;  // bytes
constexpr mode_t kPermissions = 07777, kNewFile = 0666;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }
  // 0, or the error that only closing tells, of a file on another machine's disk.
  int close() { return ::close(std::exchange(number_, -1)) == 0 ? 0 : errno; }

 private:
  int number_;
};

std::string reason_of(int error) {
  return std::strerror(error);
}

// "" for a regular file.
std::string other_kind(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "";
    case S_IFDIR:
      return "a folder";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    case S_IFIFO:
      return "a pipe";
    default:
      return "a socket";
  }
}

[[noreturn]] void unreadable(const fs::path& file, const std::string& reason) {
  throw InputError(fmt::format("{}: cannot be read: {}", file.string(), reason));
}

// Collects what a stream gets into a descriptor, and keeps the first error.
class DescriptorBuffer : public std::streambuf {
 public:
  explicit DescriptorBuffer(int descriptor) : descriptor_(descriptor) { empty(); }
  [[nodiscard]] int error() const { return error_; }

 protected:
  int_type overflow(int_type c) override {
    if (sync() != 0) return traits_type::eof();
    if (!traits_type::eq_int_type(c, traits_type::eof())) sputc(traits_type::to_char_type(c));
    return traits_type::not_eof(c);
  }
  int sync() override {
    for (const char* at = pbase(); at < pptr() && error_ == 0;) {
      const ssize_t written = ::write(descriptor_, at, static_cast<std::size_t>(pptr() - at));
      if (written >= 0)
        at += written;
      else if (errno != EINTR)
        error_ = errno;
    }
    empty();
    return error_ == 0 ? 0 : -1;
  }

 private:
  void empty() { setp(buffer_.data(), buffer_.data() + buffer_.size()); }

  int descriptor_;
  int error_ = 0;
  std::array<char, 65536> buffer_{};
};

// What stands at the end of the links that a path may be.
struct Target {
  fs::path file;
  std::optional<struct stat> old;  // absent: there is none yet
  [[nodiscard]] bool replaced() const { return !old || S_ISREG(old->st_mode); }
};

// A regular file that takes this process's answers would lose them by being replaced.
bool is_standard_output(const Target& target) {
  struct stat status {};
  return target.old && target.replaced() && ::fstat(STDOUT_FILENO, &status) == 0 &&
         status.st_dev == target.old->st_dev && status.st_ino == target.old->st_ino;
}

// Why nothing can be written there, or "".
std::string find_target(const fs::path& file, Target& target) {
  constexpr int kMostLinks = 40;
  if (file.empty()) return "expected the name of a file";
  target.file = file;
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0) {
    target.old = status;
    if (S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode) || S_ISSOCK(status.st_mode))
      return fmt::format("is {}, expected a file", other_kind(status.st_mode));
  } else if (errno != ENOENT) {
    return "cannot be written: " + reason_of(errno);
  }
  std::error_code error;
  if (target.replaced())  // links to a device's name are the system's: /proc/self/fd/1
    for (int links = 0; links < kMostLinks && fs::is_symlink(target.file, error); ++links)
      target.file = target.file.parent_path() / fs::read_symlink(target.file, error);
  if (is_standard_output(target)) return "is where the standard output goes already";
  if (!target.old) {
    const fs::path folder = target.file.has_parent_path() ? target.file.parent_path() : ".";
    if (!fs::is_directory(folder, error))
      return fmt::format("there is no folder '{}'", folder.string());
  } else if ((target.old->st_mode & 0222) == 0) {  // root, too, is meant
    return "cannot be written: the file is read-only";
  } else if (::access(target.file.c_str(), W_OK) != 0) {
    return "cannot be written: " + reason_of(errno);
  }
  return "";
}

fs::path temporary_of(const Target& target) {
  return target.file.string() + fmt::format(".{}.tmp", ::getpid());
}

// Not yet there, whatever an earlier process of this number left behind.
int make_temporary(const fs::path& temporary) {
  ::unlink(temporary.c_str());
  return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kNewFile);
}

[[noreturn]] void unwritable(const fs::path& file, int error) {
  throw InputError(fmt::format("{}: cannot be written: {}", file.string(), reason_of(error)));
}

void write_through(const fs::path& file, const Target& target,
                   const std::function<void(std::ostream&)>& write) {
  // A pipe without reader is an error, not a wait without end.
  Descriptor descriptor(::open(target.file.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (descriptor.number() < 0) unwritable(file, errno);
  ::fcntl(descriptor.number(), F_SETFL, 0);
  DescriptorBuffer buffer(descriptor.number());
  std::ostream stream(&buffer);
  write(stream);
  stream.flush();
  if (buffer.error() != 0) unwritable(file, buffer.error());
}

// Removes the temporary file unless it became the file.
struct Removal {
  const fs::path& temporary;
  ~Removal() { ::unlink(temporary.c_str()); }
};

void replace(const fs::path& file, const Target& target,
             const std::function<void(std::ostream&)>& write) {
  const fs::path temporary = temporary_of(target);
  Descriptor descriptor(make_temporary(temporary));
  if (descriptor.number() < 0) unwritable(file, errno);
  const Removal removal{temporary};
  if (target.old) {
    if (::fchown(descriptor.number(), target.old->st_uid, target.old->st_gid) != 0)
      errno = 0;  // only root may give files away
    if (::fchmod(descriptor.number(), target.old->st_mode & kPermissions) != 0)
      unwritable(file, errno);
  }
  DescriptorBuffer buffer(descriptor.number());
  std::ostream stream(&buffer);
  write(stream);
  stream.flush();
  if (buffer.error() != 0) unwritable(file, buffer.error());
  if (const int error = descriptor.close(); error != 0) unwritable(file, error);
  if (::rename(temporary.c_str(), target.file.c_str()) != 0) unwritable(file, errno);
}

}  // namespace

std::string read_file(const fs::path& file, std::string_view kind) {
  // Never waits for whoever might write into a pipe.
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (descriptor.number() < 0) unreadable(file, reason_of(errno));
  struct stat status {};
  if (::fstat(descriptor.number(), &status) != 0) unreadable(file, reason_of(errno));
  if (const std::string other = other_kind(status.st_mode); !other.empty())
    throw InputError(fmt::format("{}: is {}, expected {}", file.string(), other, kind));
  const std::string too_large = "it is larger than 1 GiB";
  if (static_cast<std::size_t>(status.st_size) > kMostRead) unreadable(file, too_large);
  std::string text;
  text.reserve(static_cast<std::size_t>(status.st_size));
  std::array<char, 65536> chunk{};
  for (;;) {
    const ssize_t got = ::read(descriptor.number(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) unreadable(file, reason_of(errno));
    if (got == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    if (text.size() > kMostRead) unreadable(file, too_large);
  }
}

void check_writable(const std::string& option, const fs::path& file) {
  Target target;
  std::string reason = find_target(file, target);
  if (reason.empty() && target.replaced()) {
    // Tried, not asked for: root may write everywhere, and still not in /proc.
    const fs::path temporary = temporary_of(target);
    const Descriptor descriptor(make_temporary(temporary));
    if (descriptor.number() < 0)
      reason = "cannot be written: " + reason_of(errno);
    else
      ::unlink(temporary.c_str());
  }
  if (!reason.empty()) throw InputError(fmt::format("{} {}: {}", option, file.string(), reason));
}

void save_file(const fs::path& file, const std::function<void(std::ostream&)>& write) {
  Target target;
  if (const std::string reason = find_target(file, target); !reason.empty())
    throw InputError(fmt::format("{}: {}", file.string(), reason));
  if (target.replaced())
    replace(file, target, write);
  else
    write_through(file, target, write);
}

void save_text(const fs::path& file, std::string_view text) {
  save_file(file, [&](std::ostream& stream) { stream << text; });
}

}  // namespace paceline
