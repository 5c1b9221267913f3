#include <fmt/format.h>

#include <cmath>
#include <set>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/profile/profile.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

double finite_duration(ObjectReader& reader, std::string_view key) {
  const double seconds = reader.duration(key);
  if (!std::isfinite(seconds)) reader.fail_at(key, "expected a finite time");
  return seconds;
}

/// "12ms", or {"median": "12ms", "p25": "11ms", "p75": "14ms"}.
Timing read_timing(ObjectReader& reader, std::string_view key) {
  if (!reader.raw(key).is_object()) return {finite_duration(reader, key), {}, {}};
  ObjectReader fields = reader.object(key);
  Timing timing{finite_duration(fields, "median"), {}, {}};
  if (fields.has("p25") || fields.has("p75")) {
    timing.p25_s = finite_duration(fields, "p25");
    timing.p75_s = finite_duration(fields, "p75");
    if (*timing.p25_s > timing.median_s || *timing.p75_s < timing.median_s)
      fields.fail("expected p25 <= median <= p75");
  }
  fields.finish();
  return timing;
}

std::optional<Timing> read_optional_timing(ObjectReader& reader, std::string_view key) {
  if (!reader.has(key)) return {};
  return read_timing(reader, key);
}

LayerTimes read_layer(ObjectReader reader) {
  LayerTimes layer;
  layer.name = reader.string("name");
  layer.forward = read_timing(reader, "forward");
  if (reader.has("backward")) {
    if (reader.has("backward_data") || reader.has("backward_weight"))
      reader.fail("give either 'backward' or 'backward_data' and 'backward_weight'");
    layer.backward_data = read_timing(reader, "backward");
  } else {
    layer.backward_data = read_timing(reader, "backward_data");
    layer.backward_weight = read_timing(reader, "backward_weight");
  }
  reader.finish();
  return layer;
}

WholeNetTimes read_whole_net(ObjectReader reader) {
  WholeNetTimes whole;
  whole.step = read_optional_timing(reader, "step");
  whole.forward = read_optional_timing(reader, "forward");
  whole.backward = read_optional_timing(reader, "backward");
  whole.backward_per_tensor = read_optional_timing(reader, "backward_per_tensor");
  const bool one_backward = whole.backward.has_value() != whole.backward_per_tensor.has_value();
  const bool any_backward = whole.backward.has_value() || whole.backward_per_tensor.has_value();
  if (whole.step ? whole.forward || any_backward : !whole.forward || !one_backward)
    reader.fail(
        "give either 'step', or 'forward' with one of 'backward' and 'backward_per_tensor'");
  const std::vector<std::string> spreads = whole.backward_per_tensor
                                               ? std::vector<std::string>{"uniform"}
                                               : std::vector<std::string>{"uniform", "analytic"};
  whole.spread = reader.choice("spread", spreads) == "uniform" ? Spread::uniform : Spread::analytic;
  reader.finish();
  return whole;
}

BatchTimes read_batch(ObjectReader reader) {
  BatchTimes times;
  if (reader.has("batch")) times.batch = reader.integer("batch", 1);
  if (reader.has("layers") == reader.has("whole_net"))
    reader.fail("give either 'layers' or 'whole_net'");
  if (reader.has("layers")) {
    std::set<std::string> names;
    for (ObjectReader& layer : reader.objects("layers")) {
      times.layers.push_back(read_layer(layer));
      if (!names.insert(times.layers.back().name).second)
        layer.fail(fmt::format("layer '{}' appears twice", times.layers.back().name));
    }
    if (times.layers.empty()) reader.fail_at("layers", "there are no layers");
  } else {
    times.whole_net = read_whole_net(reader.object("whole_net"));
  }
  times.iteration = read_optional_timing(reader, "iteration");
  if (reader.has("closure_ratio")) times.closure_ratio = reader.number("closure_ratio", 0, 1e3);
  if (reader.has("input_pipeline"))
    times.input_pipeline_s = finite_duration(reader, "input_pipeline");
  if (reader.has("host_overhead_per_op"))
    times.host_overhead_per_op_s = finite_duration(reader, "host_overhead_per_op");
  reader.finish();
  return times;
}

std::vector<BatchTimes> read_batches(ObjectReader& reader) {
  std::vector<BatchTimes> batches;
  for (const ObjectReader& batch : reader.objects("batches")) {
    batches.push_back(read_batch(batch));
    if (batches.size() == 1) continue;
    const BatchTimes& last = batches[batches.size() - 2];
    if (!last.batch || !batches.back().batch)
      batch.fail("a profile with several batches must state 'batch' in each");
    if (*last.batch >= *batches.back().batch)
      batch.fail(fmt::format("batches must ascend, but {} follows {}", *batches.back().batch,
                             *last.batch));
  }
  if (batches.empty()) reader.fail_at("batches", "there are no batches");
  return batches;
}

std::optional<CopyCost> read_copy(ObjectReader& reader, std::string_view key) {
  if (!reader.has(key)) return {};
  ObjectReader copy = reader.object(key);
  const CopyCost cost{finite_duration(copy, "latency"), copy.bandwidth("bandwidth")};
  copy.finish();
  return cost;
}

std::optional<double> read_optional_bandwidth(ObjectReader& reader, std::string_view key) {
  if (!reader.has(key)) return {};
  return reader.bandwidth(key);
}

std::map<std::string, KernelCost, std::less<>> read_kernels(ObjectReader reader) {
  std::map<std::string, KernelCost, std::less<>> kernels;
  for (const std::string& name : reader.keys()) {
    try {
      find_kernel(name);
    } catch (const InputError& error) {
      reader.fail(error.what());
    }
    ObjectReader cost = reader.object(name);
    const auto optional = [&](std::string_view key) {
      return cost.has(key) ? finite_duration(cost, key) : 0.0;
    };
    KernelCost& kernel = kernels[name];
    kernel.fixed_s = finite_duration(cost, "fixed");
    kernel.per_element_s = optional("per_element");
    kernel.per_pair_s = optional("per_pair");
    kernel.residual = cost.number("residual", 0, 1e6, 0);
    cost.finish();
  }
  return kernels;
}

OperationModel read_operations(ObjectReader reader) {
  OperationModel model;
  if (reader.has("launch")) model.launch_s = finite_duration(reader, "launch");
  model.memory_bandwidth = read_optional_bandwidth(reader, "memory_bandwidth");
  if (reader.has("select_efficiency"))
    model.select_efficiency = reader.number("select_efficiency", 1e-6, 2);
  if (reader.has("torch_legacy")) model.torch_legacy_s = finite_duration(reader, "torch_legacy");
  model.host_to_device_pinned = read_copy(reader, "host_to_device_pinned");
  model.host_to_device_pageable = read_copy(reader, "host_to_device_pageable");
  model.device_to_host_pinned = read_copy(reader, "device_to_host_pinned");
  model.device_to_host_pageable = read_copy(reader, "device_to_host_pageable");
  model.host_bandwidth = read_optional_bandwidth(reader, "host_bandwidth");
  if (reader.has("top_k"))
    model.top_k = selector_from_string(reader.choice("top_k", selector_names()));
  if (reader.has("kernels")) model.kernels = read_kernels(reader.object("kernels"));
  reader.finish();
  return model;
}

Ceilings read_ceilings(ObjectReader reader) {
  Ceilings ceilings;
  if (reader.has("sgemm")) ceilings.sgemm_flops = reader.flops("sgemm");
  ceilings.memory_bandwidth = read_optional_bandwidth(reader, "memory_bandwidth");
  ceilings.l2_bandwidth = read_optional_bandwidth(reader, "l2_bandwidth");
  reader.finish();
  return ceilings;
}

}  // namespace

Profile read_profile(const Json& json, const std::string& file) {
  ObjectReader reader(json, file);
  Profile profile;
  expect_format(reader, "paceline-profile-1");
  profile.source = profile_source_from_string(
      reader.choice("source", {"measured", "transferred", "published", "analytic"}));
  profile.uncertainty = reader.number("uncertainty", 0, 10);
  if (reader.raw("device").is_object()) {
    ObjectReader card = reader.object("device");
    profile.card = read_gpu_card(card);
    profile.device = profile.card->name;
  } else {
    profile.device = reader.string("device");
  }
  profile.model = reader.string("model");
  profile.precision = reader.string("precision", "fp32");
  profile.description = reader.string("description", "");
  if (reader.has("software")) {
    ObjectReader software = reader.object("software");
    for (const std::string& name : software.keys()) profile.software[name] = software.string(name);
  }
  if (reader.has("parent")) profile.parent = reader.string("parent");
  if (profile.source == ProfileSource::transferred && !profile.parent)
    reader.fail("a transferred profile needs 'parent', the hash of the profile it comes from");
  if (reader.has("host_overhead_per_op"))
    profile.host_overhead_per_op_s = finite_duration(reader, "host_overhead_per_op");
  if (reader.has("ceilings")) profile.ceilings = read_ceilings(reader.object("ceilings"));
  if (reader.has("operations")) profile.operations = read_operations(reader.object("operations"));
  profile.batches = read_batches(reader);
  if (reader.has("metadata")) {
    *profile.metadata = reader.raw("metadata");
    if (!profile.metadata->is_object()) reader.fail_at("metadata", "expected an object");
  }
  reader.finish();
  return profile;
}

}  // namespace paceline
