#include <fmt/format.h>

#include <set>

#include "base/error.hpp"
#include "base/fields.hpp"
#include "calibrate/profile/profile.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

constexpr field::FiniteDuration kTime;
constexpr field::Bandwidth kBytesPerSecond{RateUnit::bytes};
const std::vector<std::string> kRecorded{"measured", "transferred", "published", "analytic"};
const std::vector<std::string> kSpreads{"uniform", "analytic"}, kOnlyUniform{"uniform"};

/// "12ms", or {"median": "12ms", "p25": "11ms", "p75": "14ms"}.
struct TimingForm {
  void read(ObjectReader& r, std::string_view key, Timing& timing) const {
    if (r.raw(key).is_object())
      field::Object{}.read(r, key, timing);
    else
      kTime.read(r, key, timing.median_s);
  }
  [[nodiscard]] Json write(const Timing& timing) const {
    return timing.p25_s ? write_fields(timing) : Json(write_duration(timing.median_s));
  }
};

/// A name of the table, or a card.
struct DeviceForm {
  void read(ObjectReader& r, std::string_view key, Profile& profile) const {
    if (r.raw(key).is_object()) {
      ObjectReader card = r.object(key);
      profile.card = read_gpu_card(card);
      profile.device = profile.card->name;
    } else {
      profile.device = r.string(key);
    }
  }
  [[nodiscard]] Json write(const Profile& profile) const {
    return profile.card ? write_gpu(*profile.card) : Json(profile.device);
  }
};

struct SelectorForm {
  void read(ObjectReader& r, std::string_view key, Selector& selector) const {
    selector = selector_from_string(r.choice(key, selector_names()));
  }
  [[nodiscard]] Json write(Selector selector) const { return to_string(selector); }
};

struct KernelsForm {
  using Kernels = std::map<std::string, KernelCost, std::less<>>;
  void read(ObjectReader& r, std::string_view key, Kernels& kernels) const {
    ObjectReader reader = r.object(key);
    for (const std::string& name : reader.keys()) {
      try {
        find_kernel(name);
      } catch (const InputError& error) {
        reader.fail(error.what());
      }
      field::Object{}.read(reader, name, kernels[name]);
    }
  }
  [[nodiscard]] Json write(const Kernels& kernels) const {
    Json json = Json::object();
    for (const auto& [name, cost] : kernels) json[name] = write_fields(cost);
    return json;
  }
};

struct MetadataForm {
  void read(ObjectReader& r, std::string_view key, OwnedJson& metadata) const {
    *metadata = r.raw(key);
    if (!metadata->is_object()) r.fail_at(key, "expected an object");
  }
  [[nodiscard]] Json write(const OwnedJson& metadata) const { return *metadata; }
};

}  // namespace

template <class F>
static void fields(F& f, Timing& timing) {
  f.required("median", timing.median_s, kTime);
  f.optional("p25", timing.p25_s, kTime);
  f.optional("p75", timing.p75_s, kTime);
  if constexpr (F::kReads) {
    if (timing.p25_s.has_value() != timing.p75_s.has_value())
      (void)f.reader().raw(timing.p25_s ? "p75" : "p25");  // throws
    if (timing.p25_s && (*timing.p25_s > timing.median_s || *timing.p75_s < timing.median_s))
      f.reader().fail("expected p25 <= median <= p75");
  }
}

template <class F>
static void fields(F& f, LayerTimes& layer) {
  f.required("name", layer.name, field::Text{});
  f.required("forward", layer.forward, TimingForm{});
  // A part that takes nothing was not timed apart, or is not there: no figure for it.
  bool together = layer.backward_weight == Timing{};
  if constexpr (F::kReads) {
    ObjectReader& reader = f.reader();
    together = reader.has("backward");
    if (together && (reader.has("backward_data") || reader.has("backward_weight")))
      reader.fail("give either 'backward' or 'backward_data' and 'backward_weight'");
  }
  if (together) {
    f.required("backward", layer.backward_data, TimingForm{});
  } else {
    f.required("backward_data", layer.backward_data, TimingForm{});
    f.required("backward_weight", layer.backward_weight, TimingForm{});
  }
}

template <class F>
static void fields(F& f, WholeNetTimes& whole) {
  f.optional("step", whole.step, TimingForm{});
  f.optional("forward", whole.forward, TimingForm{});
  f.optional("backward", whole.backward, TimingForm{});
  f.optional("backward_per_tensor", whole.backward_per_tensor, TimingForm{});
  if constexpr (F::kReads) {
    const bool one_backward = whole.backward.has_value() != whole.backward_per_tensor.has_value();
    const bool any_backward = whole.backward.has_value() || whole.backward_per_tensor.has_value();
    if (whole.step ? whole.forward || any_backward : !whole.forward || !one_backward)
      f.reader().fail(
          "give either 'step', or 'forward' with one of 'backward' and 'backward_per_tensor'");
  }
  f.required("spread", whole.spread,
             field::Choice{whole.backward_per_tensor ? kOnlyUniform : kSpreads});
}

static void check_layers(const ObjectReader& reader, const std::vector<LayerTimes>& layers) {
  if (layers.empty()) reader.fail_at("layers", "there are no layers");
  std::set<std::string> names;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (!names.insert(layers[i].name).second)
      reader.fail_at(fmt::format("layers[{}]", i),
                     fmt::format("layer '{}' appears twice", layers[i].name));
}

template <class F>
static void fields(F& f, BatchTimes& times) {
  f.optional("batch", times.batch, field::Whole{1});
  if constexpr (F::kReads)
    if (f.reader().has("layers") == f.reader().has("whole_net"))
      f.reader().fail("give either 'layers' or 'whole_net'");
  f.optional("whole_net", times.whole_net, field::Object{});
  if (!times.whole_net) {
    f.required("layers", times.layers, field::Objects{});
    if constexpr (F::kReads) check_layers(f.reader(), times.layers);
  }
  f.optional("iteration", times.iteration, TimingForm{});
  f.optional("closure_ratio", times.closure_ratio, field::Number{0, 1e3});
  f.unless("input_pipeline", times.input_pipeline_s, 0, kTime);
  f.optional("host_overhead_per_op", times.host_overhead_per_op_s, kTime);
}

template <class F>
static void fields(F& f, CopyCost& copy) {
  f.required("latency", copy.latency_s, kTime);
  f.required("bandwidth", copy.bandwidth, kBytesPerSecond);
}

template <class F>
static void fields(F& f, KernelCost& kernel) {
  f.required("fixed", kernel.fixed_s, kTime);
  f.unless("per_element", kernel.per_element_s, 0, kTime);
  f.unless("per_pair", kernel.per_pair_s, 0, kTime);
  f.stated("residual", kernel.residual, field::Number{0, 1e6});
}

template <class F>
static void fields(F& f, OperationModel& model) {
  f.optional("launch", model.launch_s, kTime);
  f.optional("memory_bandwidth", model.memory_bandwidth, kBytesPerSecond);
  f.optional("select_efficiency", model.select_efficiency, field::Number{1e-6, 2});
  f.optional("torch_legacy", model.torch_legacy_s, kTime);
  f.optional("host_to_device_pinned", model.host_to_device_pinned, field::Object{});
  f.optional("host_to_device_pageable", model.host_to_device_pageable, field::Object{});
  f.optional("device_to_host_pinned", model.device_to_host_pinned, field::Object{});
  f.optional("device_to_host_pageable", model.device_to_host_pageable, field::Object{});
  f.optional("host_bandwidth", model.host_bandwidth, kBytesPerSecond);
  f.optional("top_k", model.top_k, SelectorForm{});
  f.unless("kernels", model.kernels, {}, KernelsForm{});
}

template <class F>
static void fields(F& f, Ceilings& ceilings) {
  f.optional("sgemm", ceilings.sgemm_flops, field::Flops{});
  f.optional("memory_bandwidth", ceilings.memory_bandwidth, kBytesPerSecond);
  f.optional("l2_bandwidth", ceilings.l2_bandwidth, kBytesPerSecond);
}

static void check_batches(const ObjectReader& reader, const std::vector<BatchTimes>& batches) {
  if (batches.empty()) reader.fail_at("batches", "there are no batches");
  for (std::size_t i = 1; i < batches.size(); ++i) {
    const auto fail = [&](const std::string& message) {
      reader.fail_at(fmt::format("batches[{}]", i), message);
    };
    const auto &last = batches[i - 1].batch, &batch = batches[i].batch;
    if (!last || !batch) fail("a profile with several batches must state 'batch' in each");
    if (*last >= *batch) fail(fmt::format("batches must ascend, but {} follows {}", *batch, *last));
  }
}

template <class F>
static void fields(F& f, Profile& profile) {
  f.format("paceline-profile-1");
  f.required("source", profile.source, field::Choice{kRecorded});
  f.required("uncertainty", profile.uncertainty, field::Number{0, 10});
  f.required("device", profile, DeviceForm{});
  f.required("model", profile.model, field::Text{});
  f.stated("precision", profile.precision, field::Text{});
  f.stated("description", profile.description, field::Text{});
  f.unless("software", profile.software, {}, field::TextMap{});
  f.optional("parent", profile.parent, field::Text{});
  if constexpr (F::kReads)
    if (profile.source == ProfileSource::transferred && !profile.parent)
      f.reader().fail(
          "a transferred profile needs 'parent', the hash of the profile it comes from");
  f.unless("host_overhead_per_op", profile.host_overhead_per_op_s, 0, kTime);
  f.unless("ceilings", profile.ceilings, {}, field::Object{});
  f.unless("operations", profile.operations, {}, field::Object{});
  f.required("batches", profile.batches, field::Objects{});
  if constexpr (F::kReads) check_batches(f.reader(), profile.batches);
  f.unless("metadata", profile.metadata, {}, MetadataForm{});
}

Profile read_profile(const Json& json, const std::string& file) {
  ObjectReader reader(json, file);
  Profile profile;
  read_fields(reader, profile);
  return profile;
}

Json profile_json(const Profile& profile) {
  return write_fields(profile);
}

}  // namespace paceline
