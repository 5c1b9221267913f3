#pragma once

#include <string>
#include <string_view>
#include <vector>

// The words of a cluster file, in the order of their enumerations.
namespace paceline {

inline constexpr std::string_view kClusterFormat = "paceline-cluster-1";
inline const std::vector<std::string> kJitterNames{"none", "normal", "lognormal", "gamma",
                                                   "profile"};

}  // namespace paceline
