#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace paceline {

inline constexpr std::size_t kMostXmlHosts = 512;  ///< the table of routes holds every pair

/// A SimGrid platform file as SimGrid may get it: written anew from the elements and attributes
/// that we know, so that nothing else of SimGrid is within the file's reach. What says nothing of
/// the network (properties, disks) is left out. Throws InputError "<file>: link 'a': ..." for every
/// other element and attribute by name (<config>, <include>, profiles over time), for values that
/// no link has, for a route that is declared twice and for more hosts than the table can hold. What
/// names mean to one another is for SimGrid to say.
std::string checked_platform(std::string_view xml, const std::string& file);

}  // namespace paceline
