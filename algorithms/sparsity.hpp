#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/bounds.hpp"
#include "algorithms/registry.hpp"
#include "algorithms/worker.hpp"

namespace paceline {

/// What the sparsified schedules (SLGS, LAGS, gTop-k, DGC) let a user choose.
class SparsifyOptions {
 public:
  enum class Grouping { whole, per_tensor, threshold, omgs };

  Grouping grouping = Grouping::whole;
  double threshold = 8192;      ///< elements, for Grouping::threshold
  bool adaptive = false;        ///< density of each group from the formula
  std::vector<double> density;  ///< of each tensor, unless adaptive
  bool scaled = true;           ///< error feedback on eta g (paper); false: on g (released code)
  bool own_feedback = false;    ///< the schedule has a form of its own: `scaled` says nothing
  std::optional<Selector> selector;    ///< none: the run's
  std::vector<double> warm_densities;  ///< one after the other before `density`
  std::int64_t warm_steps = 0;         ///< of each

  /// Which warm-up density a step has; warm_densities.size() once the warm-up is over.
  [[nodiscard]] std::size_t stage(std::int64_t step) const {
    return warm_steps == 0
               ? warm_densities.size()
               : std::min(warm_densities.size(), static_cast<std::size_t>(step / warm_steps));
  }
  [[nodiscard]] std::int64_t warm_up_end() const {
    return warm_steps * static_cast<std::int64_t>(warm_densities.size());
  }
  [[nodiscard]] Selector selector_of(const Worker& w) const {
    return selector ? *selector : w.selector();
  }
  [[nodiscard]] std::string describe() const;
};

/// Reads density, ratios, error_feedback, selector and warm_up; grouping and threshold if
/// `layer_wise` (else the whole gradient is one group); error_feedback unless `own_feedback`: the
/// schedule has its own form. Throws InputError.
SparsifyOptions read_sparsify_options(ObjectReader& options, const ScheduleContext& context,
                                      bool layer_wise, bool own_feedback = false);

/// A schedule that differs from SLGS-SGD in its program and bounds only (SLGS, LAGS, gTop-k).
struct SparsifiedForm {
  const char* name;
  const char* how;  ///< its description begins with this
  bool layer_wise;
  Program (*worker)(Worker&, SparsifyOptions);
  std::vector<PaperBound> (*bounds)(const BoundInputs&, const SparsifyOptions&);
  const char* rounds_formula;
  bool gathers = true;  ///< an all-gather per group is all it sends
};
/// Throws InputError for its options.
Schedule make_sparsified(const SparsifiedForm& form, ObjectReader& options,
                         const ScheduleContext& context);

/// The options of a form that is not layer-wise, for the registry.
inline constexpr const char* kWholeGradientOptions =
    "density (0.001) or \"adaptive\"; ratios {tensor: c}; error_feedback: scaled | raw (scaled); "
    "selector: profile | torch_legacy | sort | radix_select | dgc_sample | gaussian_k (profile); "
    "warm_up {steps, densities}";

/// Consecutive tensors that are selected from and exchanged together.
struct SparseGroup {
  TensorRange range;
  TensorId last_ready = 0;  ///< the one whose gradient comes last
  std::int64_t elements = 0;
  double k = 1;  ///< selected after the warm-up; whole

  static double at_least_one(double k) { return std::max(1.0, std::round(k)); }

  [[nodiscard]] double k_in_stage(const SparsifyOptions& o, std::size_t stage) const {
    return stage < o.warm_densities.size()
               ? at_least_one(o.warm_densities[stage] * static_cast<double>(elements))
               : k;
  }
};

/// What choosing the groups and densities needs to know of costs.
struct SparsifyCosts {
  double workers = 1;
  std::function<double(double elements, double k)> select_s;
  std::function<double(double bytes)> all_gather_s;  ///< bytes of all blocks together

  SparsifyCosts(const Worker& w, Selector selector);
  SparsifyCosts(const BoundInputs& in, const SparsifyOptions& options);
  /// The exchange of k entries (4 bytes of value, 4 of index) from every worker.
  [[nodiscard]] double exchange_s(double k) const { return all_gather_s(8 * k * workers); }
  /// The same without latency.
  [[nodiscard]] double wire_s(double k) const { return exchange_s(k) - exchange_s(0); }
};

/// In the order of backward; together they hold every tensor once.
std::vector<SparseGroup> sparse_groups(const ModelShape& model, const SparsifyOptions& options,
                                       const SparsifyCosts& costs);

/// What apply_sparse_means costs.
double sparse_update_s(const BoundInputs& in, const SparsifyOptions& options,
                       const std::vector<SparseGroup>& groups);
/// Least time on the wire of one all-gather per group.
double sparse_wire_s(const BoundInputs& in, const SparsifyOptions& options);

/// LAGS' adaptive ratio [recalled; same structure in code]: the largest density (smallest c = d/k)
/// whose exchange and selection fit beside `compute_s` of backward of the next group, at least
/// 1/1000 (c_u = 1000) and at most 1.
double adaptive_density(double elements, double compute_s, const SparsifyCosts& costs);

/// The update by the means of what the workers sent, one for each group; a sub-program. Scaled: the
/// learning rate is already in them, so they are subtracted from the parameters; raw: the
/// optimiser's update (rate, momentum, decay).
Program apply_sparse_means(Worker& w, SparsifyOptions options, std::vector<Tensor> means);

}  // namespace paceline
