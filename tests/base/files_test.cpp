#include "base/files.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <zlib.h>

#include <chrono>
#include <ostream>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/text_file.hpp"
#include "tests/base/temporary_folder.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::ThrowsMessage;

#define EXPECT_INPUT_ERROR(statement, matcher) \
  EXPECT_THAT([&] { statement; }, ThrowsMessage<InputError>(matcher))

mode_t mode_of(const fs::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
}

TEST(ReadTextFile, UnpacksGzip) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "line " + std::to_string(i) + "\n";
  const auto append = [&](const char* name, const std::string& piece) {
    gzFile file = gzopen((folder / name).c_str(), "ab");
    gzwrite(file, piece.data(), static_cast<unsigned>(piece.size()));
    gzclose(file);
  };
  append("two.gz", text.substr(0, 1000));
  append("two.gz", text.substr(1000));  // another member
  EXPECT_EQ(read_text_file(folder / "two.gz"), text);
  const std::string packed = contents(folder / "two.gz");
  write(folder / "short.gz", packed.substr(0, packed.size() / 2));
  EXPECT_INPUT_ERROR(read_text_file(folder / "short.gz"), HasSubstr("and is cut short"));
  std::string damaged = packed;
  damaged[damaged.size() / 2] ^= 0x55;
  write(folder / "damaged.gz", damaged);
  EXPECT_INPUT_ERROR(read_text_file(folder / "damaged.gz"), HasSubstr("and is damaged"));
}

TEST(ReadFile, IsEveryByte) {
  const TemporaryFolder folder;
  std::string text("a\0b\r\n", 5);
  text.append(200'000, 'x');
  write(folder / "f", text);
  EXPECT_EQ(read_file(folder / "f"), text);
  EXPECT_FALSE(read_file("/proc/self/status").empty());  // whose size is said to be 0
}

TEST(ReadFile, RefusesWhatIsNoFileOfData) {
  const TemporaryFolder folder;
  EXPECT_INPUT_ERROR(read_file(folder / "absent"),
                     EndsWith("absent: cannot be read: No such file or directory"));
  EXPECT_INPUT_ERROR(read_file(folder.path(), "a log"), EndsWith(": is a folder, expected a log"));
  EXPECT_INPUT_ERROR(read_file("/dev/zero"), "/dev/zero: is a device, expected a file");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_INPUT_ERROR(read_file(folder / "pipe"), EndsWith("pipe: is a pipe, expected a file"));
  write(folder / "huge", "");
  fs::resize_file(folder / "huge", (std::uintmax_t{1} << 30) + 1);
  EXPECT_INPUT_ERROR(read_file(folder / "huge"), EndsWith("larger than 1 GiB"));
}

TEST(SaveFile, FollowsLinks) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "deep");
  write(folder / "deep/real", "old");
  fs::create_symlink("deep/real", folder / "near");
  fs::create_symlink(folder / "near", folder / "far");
  save_text(folder / "far", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "near"));
  EXPECT_TRUE(fs::is_symlink(folder / "far"));
  EXPECT_EQ(contents(folder / "deep/real"), "new");
  fs::create_symlink("deep/made", folder / "dangling");
  check_writable("--out", folder / "dangling");
  save_text(folder / "dangling", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "dangling"));
  EXPECT_EQ(contents(folder / "deep/made"), "new");
  EXPECT_EQ(folder.files(), 4U);
}

TEST(SaveFile, KeepsPermissions) {
  const TemporaryFolder folder;
  write(folder / "f", "old");
  ASSERT_EQ(::chmod((folder / "f").c_str(), 0600), 0);
  save_text(folder / "f", "new");
  EXPECT_EQ(mode_of(folder / "f"), 0600U);
  const mode_t mask = ::umask(027);
  save_text(folder / "g", "new");
  ::umask(mask);
  EXPECT_EQ(mode_of(folder / "g"), 0640U);
}

TEST(SaveFile, RefusesReadOnlyFilesAndFolders) {
  const TemporaryFolder folder;
  write(folder / "f", "old");
  ASSERT_EQ(::chmod((folder / "f").c_str(), 0444), 0);
  const auto read_only = EndsWith("f: cannot be written: the file is read-only");
  EXPECT_INPUT_ERROR(save_text(folder / "f", "new"), read_only);
  EXPECT_INPUT_ERROR(check_writable("--out", folder / "f"), AllOf(StartsWith("--out "), read_only));
  EXPECT_EQ(contents(folder / "f"), "old");
  EXPECT_INPUT_ERROR(save_text(folder.path(), "new"), EndsWith("is a folder, expected a file"));
  EXPECT_INPUT_ERROR(save_text(folder / "no/f", "new"), HasSubstr("there is no folder"));
  EXPECT_INPUT_ERROR(save_text("", "new"), HasSubstr("expected the name of a file"));
  EXPECT_INPUT_ERROR(save_text("/proc/f", "new"), StartsWith("/proc/f: cannot be written: "));
  EXPECT_EQ(folder.files(), 1U);
}

TEST(SaveFile, AnErrorInTheMiddleLeavesTheOldFile) {
  const TemporaryFolder folder;
  write(folder / "f", "old");
  EXPECT_ANY_THROW(save_file(folder / "f", [](std::ostream& stream) {
    stream << std::string(200'000, 'x');
    throw std::runtime_error("no more");
  }));
  EXPECT_EQ(contents(folder / "f"), "old");
  EXPECT_EQ(folder.files(), 1U);
}

// Whoever may write into the folder cannot turn the temporary file into a link to another one.
TEST(SaveFile, TemporaryNamesCannotBeForeseen) {
  const TemporaryFolder folder;
  std::set<std::string> names;
  for (int i = 0; i < 8; ++i) {
    ReplacedFile file(folder / "f");
    file.stream() << "never in place";
    for (const auto& entry : fs::directory_iterator(folder.path()))
      names.insert(entry.path().filename().string());
  }
  EXPECT_EQ(names.size(), 8U);
  EXPECT_EQ(folder.files(), 0U);
}

TEST(SaveFile, TakesAnyNameAndAFileIsInPlaceAtTheEnd) {
  const TemporaryFolder folder;
  const fs::path long_name = folder.path() / std::string(255, 'n');
  save_text(long_name, "new");
  EXPECT_EQ(contents(long_name), "new");
  ReplacedFile file(folder / "f");
  file.stream() << "whole";
  EXPECT_FALSE(fs::exists(folder / "f"));
  file.put_in_place();
  EXPECT_EQ(contents(folder / "f"), "whole");
  EXPECT_EQ(folder.files(), 2U);
}

TEST(SaveFile, AbandonedTemporariesAreRemoved) {
  const TemporaryFolder folder;
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
  write(folder / "f.0123456789abcdef.tmp", "of a killed process");
  fs::last_write_time(folder / "f.0123456789abcdef.tmp", long_ago);
  write(folder / "f.fedcba9876543210.tmp", "just begun");
  write(folder / "kept", "");
  fs::create_symlink("kept", folder / "link.tmp");
  ReplacedFile file(folder / "g");
  file.stream() << "in use" << std::flush;
  for (const auto& entry : fs::directory_iterator(folder.path()))
    if (entry.path().filename().string().starts_with("g."))
      fs::last_write_time(entry.path(), long_ago);
  remove_abandoned(folder.path());
  EXPECT_FALSE(fs::exists(folder / "f.0123456789abcdef.tmp"));
  EXPECT_EQ(folder.files(), 4U);
  file.put_in_place();
  EXPECT_EQ(contents(folder / "g"), "in use");
}

TEST(SaveFile, WritesThroughAPipe) {
  const TemporaryFolder folder;
  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_INPUT_ERROR(save_text(pipe, "new"), HasSubstr("pipe: cannot be written: "));  // no reader
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  save_text(pipe, "new");
  char text[8] = {};
  EXPECT_EQ(::read(reader, text, sizeof text), 3);
  ::close(reader);
  EXPECT_STREQ(text, "new");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

// Nodes of the test's own: a broken save_file must not replace the machine's.
TEST(SaveFile, WritesThroughDevices) {
  const TemporaryFolder folder;
  const fs::path null = folder / "null", full = folder / "full";
  if (::mknod(null.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0 ||
      ::mknod(full.c_str(), S_IFCHR | 0666, makedev(1, 7)) != 0 ||
      ::access(null.c_str(), W_OK) != 0)
    GTEST_SKIP() << "only root may make devices";
  const int probe = ::open(null.c_str(), O_WRONLY | O_CLOEXEC);
  if (probe < 0) GTEST_SKIP() << "no devices in this file system";
  ::close(probe);
  check_writable("--out", null);
  save_text(null, "new");
  EXPECT_TRUE(fs::is_character_file(null));
  EXPECT_INPUT_ERROR(save_text(full, "new"), EndsWith("No space left on device"));
  EXPECT_TRUE(fs::is_character_file(full));
  EXPECT_EQ(folder.files(), 2U);
}

TEST(Hash, IsFnv1a) {
  EXPECT_EQ(fnv1a64(""), 0xcbf29ce484222325ULL);
  EXPECT_EQ(fnv1a64("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(fnv1a64("foobar"), 0x85944171f73967e8ULL);
}

}  // namespace
}  // namespace paceline
