#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

namespace paceline {

/// The bytes of a regular file of at most 1 GiB. Throws InputError "<file>: ..." with the system's
/// reason, and for what is no file of data: a folder, a device, a pipe. `kind` says in the message
/// what was expected: "a JSON file".
std::string read_file(const std::filesystem::path& file, std::string_view kind = "a file");

/// Throws InputError naming the option unless `save_file` can write there. Asked before long work,
/// which must not end in nothing.
void check_writable(const std::string& option, const std::filesystem::path& file);

/// A file on its way: written beside its place under a name that nobody can foresee, through no
/// link, and put there at once by put_in_place(), when it is on the disk: never half a file, and
/// without put_in_place() the old one. Symbolic links stay and their target is replaced; owner and
/// permissions stay. Both throw InputError "<file>: cannot be written: <reason>", also for a
/// read-only file.
class ReplacedFile {
 public:
  explicit ReplacedFile(const std::filesystem::path& file);
  ReplacedFile(const ReplacedFile&) = delete;
  ReplacedFile& operator=(const ReplacedFile&) = delete;
  ~ReplacedFile();

  std::ostream& stream();
  void put_in_place();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Calls `write` and puts what it wrote in the place of `file` as ReplacedFile does. What is a
/// character device or a pipe is written to as it stands. Throws InputError as ReplacedFile does.
void save_file(const std::filesystem::path& file, const std::function<void(std::ostream&)>& write);
void save_text(const std::filesystem::path& file, std::string_view text);

/// Removes from a folder of ours the temporary files of processes that were killed.
void remove_abandoned(const std::filesystem::path& folder);

}  // namespace paceline
