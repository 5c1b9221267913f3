#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>

namespace paceline {

/// What readers of files (object_reader.hpp) have asked for: what a schema is made of.
struct ReaderTrace {
  struct Key {
    std::size_t required = 0,
                optional = 0;  ///< times that it was asked for and had to be there, or need not
    std::size_t present = 0;   ///< times that it was there
    /// JSON schemas of what it was read as; "object" and "objects" have a place of their own.
    std::set<std::string> kinds;
  };
  struct Object {
    std::size_t read = 0;  ///< times
    bool free = false;     ///< a map with keys of the user's; theirs is "*"
    std::map<std::string, Key> keys;
  };
  /// By format, and by path: "$.nodes[]".
  std::map<std::string, std::map<std::string, Object>> formats;
};

/// While it lives, the readers of this thread tell what they ask for.
class TracedReaders {
 public:
  explicit TracedReaders(ReaderTrace& trace);
  TracedReaders(const TracedReaders&) = delete;
  TracedReaders& operator=(const TracedReaders&) = delete;
  ~TracedReaders();
};

}  // namespace paceline
