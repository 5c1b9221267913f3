#include "calibrate/profile/profile.hpp"

#include <fmt/format.h>

#include <array>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/profile/shipped.hpp"

namespace paceline {
namespace {

constexpr std::array<const char*, 5> kSources{"measured", "transferred", "published", "analytic",
                                              "interpolated"};

}  // namespace

std::string to_string(ProfileSource source) {
  return kSources.at(static_cast<std::size_t>(source));
}

ProfileSource profile_source_from_string(std::string_view name) {
  for (std::size_t i = 0; i < kSources.size(); ++i)
    if (name == kSources[i]) return static_cast<ProfileSource>(i);
  throw InputError(unknown_name("profile source", name, {kSources.begin(), kSources.end()}));
}

const GpuSpec* card_of(const Profile& profile) {
  return profile.card ? &*profile.card : known_gpu(profile.device);
}

std::vector<std::string> shipped_profiles() {
  std::vector<std::string> names;
  for (const auto& [name, text] : shipped_profile_texts()) names.push_back(name);
  return names;
}

Profile load_profile(const std::string& file_or_name) {
  std::error_code ignored;
  if (std::filesystem::exists(file_or_name, ignored))
    return read_profile(load_json(file_or_name), file_or_name);
  const auto& shipped = shipped_profile_texts();
  if (const auto found = shipped.find(file_or_name); found != shipped.end()) {
    const std::string name = fmt::format("profiles/{}.json", file_or_name);
    return read_profile(parse_json(found->second, name), name);
  }
  if (file_or_name.find('/') != std::string::npos || file_or_name.ends_with(".json"))
    throw InputError(fmt::format("{}: there is no such profile file", file_or_name));
  throw InputError(unknown_name("profile", file_or_name, shipped_profiles()));
}

void save_profile(const std::filesystem::path& file, const Profile& profile) {
  const Json json = profile_json(profile);
  read_profile(json, file.string());  // what could not be read again is not written
  save_json(file, json);
}

}  // namespace paceline
