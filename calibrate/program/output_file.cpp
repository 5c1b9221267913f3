#include "calibrate/program/output_file.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/files.hpp"

namespace paceline {
namespace {

const std::filesystem::path& regular(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored) && !std::filesystem::is_regular_file(file, ignored))
    throw InputError(fmt::format("{}: is not a regular file", file.string()));
  check_writable("--out", file);
  return file;
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path file)
    : file_(std::move(file)), lock_(regular(file_), "paceline-calibrate is measuring into it") {}

}  // namespace paceline
