#include "algorithms/sparsity.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "algorithms/buckets.hpp"
#include "base/defaults.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

const Default kLeastDensity{
    "sparsity.density", 1e-3, "",
    "of top-k schedules, and the least that an adaptive one takes (c_u = 1000 of the LAGS paper)"};

std::vector<std::string> tensor_names(const ModelShape& model) {
  std::vector<std::string> names;
  for (const ModelShape::Item& tensor : model.tensors) names.push_back(tensor.name);
  return names;
}

// {"tensor name": c}: k = elements / c for that tensor.
void read_ratios(ObjectReader ratios, const ModelShape& model, std::vector<double>& density) {
  const std::vector<std::string> names = tensor_names(model);
  for (const std::string& name : ratios.keys()) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) ratios.fail(unknown_name("tensor", name, names));
    density[static_cast<std::size_t>(found - names.begin())] = 1 / ratios.number(name, 1, 1e9);
  }
}

void read_warm_up(ObjectReader warm_up, SparsifyOptions& o) {
  o.warm_densities = {0.25, 0.0625, 0.015625, 0.004};  // Deep Gradient Compression, by epoch
  if (warm_up.has("densities")) {
    o.warm_densities = warm_up.numbers("densities");
    for (const double density : o.warm_densities)
      if (!(density > 0 && density <= 1))
        warm_up.fail_at("densities",
                        fmt::format("expected densities in (0, 1], found {}", density));
  }
  o.warm_steps = warm_up.integer("steps", 1);
  warm_up.finish();
}

}  // namespace

SparsifyOptions read_sparsify_options(ObjectReader& options, const ScheduleContext& context,
                                      bool layer_wise, bool own_feedback) {
  SparsifyOptions o;
  double density = kLeastDensity;
  if (options.has("density") && options.raw("density").is_string())
    o.adaptive = options.choice("density", {"adaptive"}) == "adaptive";
  else
    density = options.number("density", 1e-9, 1, kLeastDensity);
  o.density.assign(context.model->tensors.size(), density);
  if (options.has("ratios")) {
    if (o.adaptive) options.fail_at("ratios", "not together with an adaptive density");
    read_ratios(options.object("ratios"), *context.model, o.density);
  }
  o.own_feedback = own_feedback;
  if (!own_feedback)
    o.scaled = options.choice("error_feedback", {"scaled", "raw"}, "scaled") == "scaled";
  std::vector<std::string> selectors = selector_names();
  selectors.insert(selectors.begin(), "profile");
  const std::string selector = options.choice("selector", selectors, "profile");
  if (selector != "profile") o.selector = selector_from_string(selector);
  if (options.has("warm_up")) read_warm_up(options.object("warm_up"), o);
  if (!layer_wise) return o;
  const std::string grouping =
      options.choice("grouping", {"none", "threshold", "omgs"}, "threshold");
  o.grouping = grouping == "none"        ? SparsifyOptions::Grouping::per_tensor
               : grouping == "threshold" ? SparsifyOptions::Grouping::threshold
                                         : SparsifyOptions::Grouping::omgs;
  if (grouping == "threshold") o.threshold = options.count("threshold", 8192.0);
  return o;
}

Schedule make_sparsified(const SparsifiedForm& form, ObjectReader& options,
                         const ScheduleContext& context) {
  const SparsifyOptions o = read_sparsify_options(options, context, form.layer_wise);
  options.finish();
  Schedule s;
  s.name = form.name;
  s.description = fmt::format("{}, {}", form.how, o.describe());
  s.worker = [o, worker = form.worker](Worker& w) { return worker(w, o); };
  s.bounds = [o, bounds = form.bounds](const BoundInputs& in) { return bounds(in, o); };
  if (form.gathers) s.wire_s = [o](const BoundInputs& in) { return sparse_wire_s(in, o); };
  s.warm_up = o.warm_up_end();
  s.rounds_formula = form.rounds_formula;
  s.extra_copies = 1;  // the residual
  s.selector = o.selector;
  s.own_update = o.scaled;
  return s;
}

std::string SparsifyOptions::describe() const {
  const auto [least, most] = std::minmax_element(density.begin(), density.end());
  std::string text = adaptive          ? "adaptive density"
                     : *least == *most ? fmt::format("density {}", *least)
                                       : fmt::format("density {} to {}", *least, *most);
  if (selector) text += ", selector " + to_string(*selector);
  if (grouping == Grouping::threshold)
    text += fmt::format(", groups of at least {} elements", format_count(threshold));
  if (grouping == Grouping::omgs) text += ", groups by the OMGS rule";
  if (!own_feedback) text += scaled ? ", error feedback scaled" : ", error feedback raw";
  if (warm_steps > 0)
    text += fmt::format(", {} warm-up densities of {} steps", warm_densities.size(), warm_steps);
  return text;
}

SparsifyCosts::SparsifyCosts(const Worker& w, Selector selector)
    : workers(static_cast<double>(w.world_size())),
      select_s([&w, selector](double n, double k) { return w.select_s(n, k, selector); }),
      all_gather_s([&w](double bytes) { return w.all_gather_s(bytes); }) {}

SparsifyCosts::SparsifyCosts(const BoundInputs& in, const SparsifyOptions& options)
    : workers(static_cast<double>(in.workers)),
      select_s([&in, selector = options.selector ? *options.selector : in.selector](
                   double n, double k) { return in.select_s(n, k, selector); }),
      all_gather_s(in.all_gather_s) {}

double adaptive_density(double elements, double compute_s, const SparsifyCosts& costs) {
  const auto fits = [&](double density) {
    const double k = density * elements;
    return costs.exchange_s(k) + costs.select_s(elements, k) <= compute_s;
  };
  if (fits(1)) return 1;
  double low = kLeastDensity, high = 1;  // costs grow with the density: bisect
  if (!fits(low)) return low;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

std::vector<SparseGroup> sparse_groups(const ModelShape& model, const SparsifyOptions& options,
                                       const SparsifyCosts& costs) {
  const auto density = [&](TensorId t) {
    return options.adaptive ? double{kLeastDensity} : options.density[t];
  };
  std::vector<Bucket> buckets;
  switch (options.grouping) {
    case SparsifyOptions::Grouping::whole:
      buckets = one_bucket(model);
      break;
    case SparsifyOptions::Grouping::per_tensor:
      buckets = bucket_per_tensor(model);
      break;
    case SparsifyOptions::Grouping::threshold:
      buckets = buckets_by_size(model, options.threshold, options.threshold, 1);
      break;
    case SparsifyOptions::Grouping::omgs: {
      double mean = 0;  // the rule knows sizes only: the mean density stands for all
      for (TensorId t = 0; t < model.tensors.size(); ++t)
        mean += density(t) * static_cast<double>(model.tensors[t].elements);
      mean /= static_cast<double>(model.elements);
      buckets = buckets_omgs(
          model, [&](double n) { return costs.select_s(n, mean * n); },
          [&](double n) { return costs.exchange_s(mean * n); });
    }
  }
  std::vector<double> backward_s(buckets.size());
  for (std::size_t i = 0; i < buckets.size(); ++i)
    for (TensorId t = buckets[i].range.first; t <= buckets[i].range.last; ++t)
      backward_s[i] += model.tensors[t].backward_s;

  std::vector<SparseGroup> groups;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    SparseGroup group{buckets[i].range, buckets[i].last_ready,
                      model.range_elements(buckets[i].range), 0};
    for (TensorId t = group.range.first; t <= group.range.last; ++t)
      group.k += density(t) * static_cast<double>(model.tensors[t].elements);
    if (options.adaptive) {
      const auto n = static_cast<double>(group.elements);
      group.k = n * adaptive_density(n, i + 1 < buckets.size() ? backward_s[i + 1] : 0, costs);
    }
    group.k = SparseGroup::at_least_one(group.k);
    groups.push_back(group);
  }
  return groups;
}

double sparse_update_s(const BoundInputs& in, const SparsifyOptions& options,
                       const std::vector<SparseGroup>& groups) {
  if (!options.scaled) return in.update_s;
  double seconds = 0;
  for (const SparseGroup& group : groups)
    seconds += in.subtract_s(static_cast<double>(group.elements));
  return seconds;
}

double sparse_wire_s(const BoundInputs& in, const SparsifyOptions& options) {
  const SparsifyCosts costs(in, options);
  double seconds = 0;
  for (const SparseGroup& group : sparse_groups(*in.model, options, costs))
    seconds += costs.wire_s(group.k);
  return seconds;
}

Program apply_sparse_means(Worker& w, SparsifyOptions options, std::vector<Tensor> means) {
  if (!options.scaled) {
    co_await w.update(means);
    co_return;
  }
  for (const Tensor& mean : means) {
    const Tensor next = w.parameters().slice(mean.offset(), mean.elements()) - mean;
    co_await w.finished(next);
    w.set_parameters(next);
  }
}

}  // namespace paceline
