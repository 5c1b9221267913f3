#include "base/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <ostream>
#include <streambuf>
#include <utility>

#include "base/error.hpp"
#include "base/interrupt.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostRead = std::size_t{1} << 30;  // bytes
constexpr mode_t kPermissions = 07777, kNewFile = 0666;
constexpr std::string_view kTemporary = ".tmp";
constexpr std::size_t kLongestStem = 200;  // of the 255 bytes that a name may have

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

// Not to be foreseen, so that nobody can put a link there, and short enough for any file system.
fs::path temporary_of(const Target& target) {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number)
    number = static_cast<std::uint64_t>(::getpid());
  const std::string name = target.file.filename().string().substr(0, kLongestStem);
  return target.file.parent_path() / fmt::format("{}.{:016x}{}", name, number, kTemporary);
}

// O_EXCL: neither a file nor a link that is there already.
int make_temporary(const Target& target, fs::path& temporary, TemporaryName& noted) {
  constexpr int kTries = 16;
  int descriptor = -1;
  const SignalsWait wait;
  for (int i = 0; i < kTries && descriptor < 0; ++i) {
    temporary = temporary_of(target);
    descriptor =
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kNewFile);
    if (descriptor < 0 && errno != EEXIST) break;
  }
  if (descriptor >= 0) noted = TemporaryName(temporary);
  if (descriptor >= 0) ::flock(descriptor, LOCK_EX | LOCK_NB);  // in use: remove_abandoned
  return descriptor;
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

// The new name, too, has to outlive a loss of power. Not every file system can promise it.
void sync_folder(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.number() >= 0) ::fsync(descriptor.number());
}

Target writable_target(const fs::path& file) {
  Target target;
  if (const std::string reason = find_target(file, target); !reason.empty())
    throw InputError(fmt::format("{}: {}", file.string(), reason));
  return target;
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
    fs::path temporary;
    TemporaryName noted;
    const Descriptor descriptor(make_temporary(target, temporary, noted));
    if (descriptor.number() < 0)
      reason = "cannot be written: " + reason_of(errno);
    else
      ::unlink(temporary.c_str());
  }
  if (!reason.empty()) throw InputError(fmt::format("{} {}: {}", option, file.string(), reason));
}

struct ReplacedFile::State {
  State(fs::path name, Target found)
      : file(std::move(name)),
        target(std::move(found)),
        descriptor(make_temporary(target, temporary, noted)),
        buffer(descriptor.number()),
        stream(&buffer) {
    if (descriptor.number() < 0) unwritable(file, errno);
  }

  fs::path file;
  Target target;
  fs::path temporary;
  TemporaryName noted;
  Descriptor descriptor;
  DescriptorBuffer buffer;
  std::ostream stream;
  bool in_place = false;
};

ReplacedFile::ReplacedFile(const fs::path& file) {
  Target target = writable_target(file);
  if (!target.replaced())
    throw InputError(
        fmt::format("{}: is {}, expected a file", file.string(), other_kind(target.old->st_mode)));
  state_ = std::make_unique<State>(file, std::move(target));
  const std::optional<struct stat>& old = state_->target.old;
  const int descriptor = state_->descriptor.number();
  if (!old) return;
  if (::fchown(descriptor, old->st_uid, old->st_gid) != 0)
    errno = 0;  // only root may give files away
  if (::fchmod(descriptor, old->st_mode & kPermissions) == 0) return;
  const int error = errno;
  ::unlink(state_->temporary.c_str());
  unwritable(file, error);
}

ReplacedFile::~ReplacedFile() {
  if (!state_->in_place) ::unlink(state_->temporary.c_str());
}

std::ostream& ReplacedFile::stream() {
  return state_->stream;
}

void ReplacedFile::put_in_place() {
  State& s = *state_;
  s.stream.flush();
  if (s.buffer.error() != 0) unwritable(s.file, s.buffer.error());
  if (::fsync(s.descriptor.number()) != 0 && errno != EINVAL && errno != ENOTSUP)
    unwritable(s.file, errno);
  if (const int error = s.descriptor.close(); error != 0) unwritable(s.file, error);
  if (::rename(s.temporary.c_str(), s.target.file.c_str()) != 0) unwritable(s.file, errno);
  s.in_place = true;
  sync_folder(s.target.file);
}

void save_file(const fs::path& file, const std::function<void(std::ostream&)>& write) {
  const Target target = writable_target(file);
  if (!target.replaced()) {
    write_through(file, target, write);
    return;
  }
  ReplacedFile replaced(file);
  write(replaced.stream());
  replaced.put_in_place();
}

void save_text(const fs::path& file, std::string_view text) {
  save_file(file, [&](std::ostream& stream) { stream << text; });
}

void remove_abandoned(const fs::path& folder) {
  constexpr auto kStarting = std::chrono::minutes(1);  // made, but not locked yet
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->path().string().ends_with(kTemporary)) continue;
    const Descriptor descriptor(
        ::open(it->path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (descriptor.number() < 0 || ::fstat(descriptor.number(), &status) != 0 ||
        !S_ISREG(status.st_mode))
      continue;
    const auto written = std::chrono::system_clock::from_time_t(status.st_mtime);
    if (std::chrono::system_clock::now() - written > kStarting &&
        ::flock(descriptor.number(), LOCK_EX | LOCK_NB) == 0)
      ::unlink(it->path().c_str());
  }
}

}  // namespace paceline
