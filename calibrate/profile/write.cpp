#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/profile/profile.hpp"
#include "platforms/gpu_file.hpp"

namespace paceline {
namespace {

Json timing(const Timing& timing) {
  if (!timing.p25_s) return write_duration(timing.median_s);
  return {{"median", write_duration(timing.median_s)},
          {"p25", write_duration(*timing.p25_s)},
          {"p75", write_duration(*timing.p75_s)}};
}

Json batch(const BatchTimes& times) {
  Json json = Json::object();
  if (times.batch) json["batch"] = *times.batch;
  if (times.whole_net) {
    Json& whole = json["whole_net"];
    if (times.whole_net->step) whole["step"] = timing(*times.whole_net->step);
    if (times.whole_net->forward) whole["forward"] = timing(*times.whole_net->forward);
    if (times.whole_net->backward) whole["backward"] = timing(*times.whole_net->backward);
    if (times.whole_net->backward_per_tensor)
      whole["backward_per_tensor"] = timing(*times.whole_net->backward_per_tensor);
    whole["spread"] = times.whole_net->spread == Spread::uniform ? "uniform" : "analytic";
  } else {
    Json& layers = json["layers"] = Json::array();
    for (const LayerTimes& layer : times.layers) {
      Json json_layer{{"name", layer.name}, {"forward", timing(layer.forward)}};
      // A part that takes nothing was not timed apart, or is not there: no figure for it.
      if (layer.backward_weight == Timing{}) {
        json_layer["backward"] = timing(layer.backward_data);
      } else {
        json_layer["backward_data"] = timing(layer.backward_data);
        json_layer["backward_weight"] = timing(layer.backward_weight);
      }
      layers.push_back(std::move(json_layer));
    }
  }
  if (times.iteration) json["iteration"] = timing(*times.iteration);
  if (times.closure_ratio) json["closure_ratio"] = *times.closure_ratio;
  if (times.input_pipeline_s > 0) json["input_pipeline"] = write_duration(times.input_pipeline_s);
  if (times.host_overhead_per_op_s)
    json["host_overhead_per_op"] = write_duration(*times.host_overhead_per_op_s);
  return json;
}

void put_copy(Json& json, const char* key, const std::optional<CopyCost>& cost) {
  if (cost)
    json[key] = {{"latency", write_duration(cost->latency_s)},
                 {"bandwidth", write_bandwidth(cost->bandwidth, RateUnit::bytes)}};
}

Json operations(const OperationModel& model) {
  Json json = Json::object();
  if (model.launch_s) json["launch"] = write_duration(*model.launch_s);
  if (model.memory_bandwidth)
    json["memory_bandwidth"] = write_bandwidth(*model.memory_bandwidth, RateUnit::bytes);
  if (model.select_efficiency) json["select_efficiency"] = *model.select_efficiency;
  if (model.torch_legacy_s) json["torch_legacy"] = write_duration(*model.torch_legacy_s);
  put_copy(json, "host_to_device_pinned", model.host_to_device_pinned);
  put_copy(json, "host_to_device_pageable", model.host_to_device_pageable);
  put_copy(json, "device_to_host_pinned", model.device_to_host_pinned);
  put_copy(json, "device_to_host_pageable", model.device_to_host_pageable);
  if (model.host_bandwidth)
    json["host_bandwidth"] = write_bandwidth(*model.host_bandwidth, RateUnit::bytes);
  if (model.top_k) json["top_k"] = to_string(*model.top_k);
  for (const auto& [name, cost] : model.kernels) {
    Json& kernel = json["kernels"][name] = {{"fixed", write_duration(cost.fixed_s)}};
    if (cost.per_element_s > 0) kernel["per_element"] = write_duration(cost.per_element_s);
    if (cost.per_pair_s > 0) kernel["per_pair"] = write_duration(cost.per_pair_s);
    kernel["residual"] = cost.residual;
  }
  return json;
}

Json ceilings(const Ceilings& ceilings) {
  Json json = Json::object();
  if (ceilings.sgemm_flops) json["sgemm"] = write_flops(*ceilings.sgemm_flops);
  if (ceilings.memory_bandwidth)
    json["memory_bandwidth"] = write_bandwidth(*ceilings.memory_bandwidth, RateUnit::bytes);
  if (ceilings.l2_bandwidth)
    json["l2_bandwidth"] = write_bandwidth(*ceilings.l2_bandwidth, RateUnit::bytes);
  return json;
}

}  // namespace

Json profile_json(const Profile& profile) {
  Json json{{"format", "paceline-profile-1"},
            {"source", to_string(profile.source)},
            {"uncertainty", profile.uncertainty},
            {"device", profile.card ? write_gpu(*profile.card) : Json(profile.device)},
            {"model", profile.model},
            {"precision", profile.precision},
            {"description", profile.description}};
  if (!profile.software.empty()) {
    json["software"] = Json::object();
    for (const auto& [name, version] : profile.software) json["software"][name] = version;
  }
  if (profile.parent) json["parent"] = *profile.parent;
  if (profile.host_overhead_per_op_s > 0)
    json["host_overhead_per_op"] = write_duration(profile.host_overhead_per_op_s);
  if (profile.ceilings != Ceilings{}) json["ceilings"] = ceilings(profile.ceilings);
  if (profile.operations != OperationModel{}) json["operations"] = operations(profile.operations);
  Json& batches = json["batches"] = Json::array();
  for (const BatchTimes& times : profile.batches) batches.push_back(batch(times));
  if (!profile.metadata->empty()) json["metadata"] = *profile.metadata;
  return json;
}

}  // namespace paceline
