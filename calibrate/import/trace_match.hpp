#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "calibrate/import/trace_calls.hpp"
#include "calibrate/profile/profile.hpp"

namespace paceline {

/// Throws InputError.
[[noreturn]] void refuse_trace(const std::string& file, const std::string& why);

/// The calls of a trace and the operations of a model, matched by kind and order.
class Matcher {
 public:
  /// Throws InputError if no step has the calls of the model's layers.
  Matcher(const std::string& file, const Model& model, const std::vector<Call>& calls,
          const Windows& windows);

  [[nodiscard]] std::vector<LayerTimes> layers() const;
  [[nodiscard]] std::size_t matched() const {
    return static_cast<std::size_t>(std::count(matched_.begin(), matched_.end(), true));
  }
  /// Share of the GPU time of the matched steps that is in no layer.
  [[nodiscard]] double other_share(const GpuTime& time) const;

  Json left_at_0 = Json::array();
  std::vector<std::string> warnings;
  std::string spread;  ///< how LSTM calls were spread, "" if one is one layer

 private:
  using Kind = std::pair<OpKind, bool>;  // and whether backward
  // Each call of one kind times one group of the model's operations: one, or several LSTM layers.
  struct Demand {
    Kind kind;
    bool has_parameters = false;
    std::vector<std::vector<std::size_t>> groups;  // in forward order
  };

  // Of each kind the calls of each step, in order of time.
  static std::map<Kind, std::vector<std::vector<const Call*>>> calls_by_kind(
      const std::vector<Call>& calls, const Windows& windows);
  // Seconds of the groups in one step; nothing if the calls do not fit.
  static std::optional<std::vector<double>> seconds_of(const Demand& demand,
                                                       const std::vector<const Call*>& calls);
  void make_demands();
  std::size_t lstm_layers_per_call(std::size_t layers) const;
  void match_steps();
  void take(const Demand& demand);
  void leave_out(const Demand& demand, std::size_t found);
  [[nodiscard]] const std::vector<const Call*>& calls_of(const Kind& kind, std::size_t w) const {
    static const std::vector<const Call*> none;
    const auto found = calls_.find(kind);
    return found == calls_.end() ? none : found->second[w];
  }
  [[nodiscard]] std::string pass_of(const Kind& kind) const {
    return kind.second ? "backward" : "forward";
  }

  std::string file_;
  const Model& model_;
  std::map<Kind, std::vector<std::vector<const Call*>>> calls_;
  std::vector<Demand> demands_;
  std::vector<double> used_;                             // microseconds in layers, of each step
  std::vector<bool> matched_;                            // each step
  std::vector<std::vector<double>> forward_, backward_;  // samples of each operation
};

}  // namespace paceline
