#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"

namespace paceline {

/// One value of an axis: keys that replace the experiment's, except that "set" is added to it
/// and "training" merged into it (RFC 7396: a key that is null is taken away).
struct Variant {
  std::string label;
  Json keys;
};

/// "vary": [{"axis": "network", "variants": [{"label": "1 GbE", "cluster": "16x1-1080ti-1gbe"},
/// ...]}]
struct Axis {
  std::string name;
  std::vector<Variant> variants;
};

/// One point of a comparison: a label per axis, and the experiment without "vary".
struct Point {
  std::vector<std::string> labels;
  Json json;
};

/// A field that an axis varies: a key of the experiment, "training.sharding", "schedule.period", or
/// any field of the cluster ("network.bandwidth", "nodes[0].count") or stack ("stack.KEY").
class AxisField {
 public:
  /// Throws InputError, which begins with `where`, for a key that there is not.
  AxisField(const std::string& name, const std::string& where);
  [[nodiscard]] const std::string& key() const { return key_; }
  /// A value as the command line has it, which is its label too. Throws InputError.
  [[nodiscard]] Variant variant(const std::string& text) const;

 private:
  std::string key_;
  bool nests_ = false, ours_ = false;
};

/// Makes an experiment's JSON that of the variant.
void apply_variant(Json& json, const Json& keys);
/// Throws InputError if two axes say the same: the later one would win, and labels would lie.
void check_distinct(const std::vector<Axis>& axes);

/// The axes of an experiment's JSON ("vary"; none if absent). Throws InputError.
std::vector<Axis> read_axes(const Json& json, const std::string& file);

/// An axis from the command line, its values as of axis_values.hpp: "cluster=a,b", "schedule=s-sgd,cocod-sgd:period=5", or any field
/// of the cluster, "network.bandwidth=1Gbps,10Gbps", or of the training,
/// "training.sharding=iid,dirichlet"; `fine` as of values_of_text. Throws InputError.
Axis axis_from_option(const std::string& option, std::size_t fine = 0);

/// "cocod-sgd:period=5:overlap=true" -> {"name": "cocod-sgd", "period": 5, "overlap": true}: a
/// name, and options that are JSON where they can be and strings otherwise.
Json schedule_from_option(const std::string& option);

/// "lognormal:0.1" or "profile", as an experiment's "jitter". Throws InputError.
Json jitter_from_option(const std::string& text);

/// "ring" or "double_binary_tree:chunks=16", as an experiment's "all_reduce". Throws InputError.
Json all_reduce_from_option(const std::string& text);

/// Every combination, the last axis varying fastest. `json` may have "vary", which is dropped.
std::vector<Point> points(const Json& json, const std::vector<Axis>& axes);

}  // namespace paceline
