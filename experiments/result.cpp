#include "experiments/result.hpp"

#include <fmt/format.h>

#include <type_traits>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

// Each struct lists its fields once; a writer and a reader visit them.

template <class V>
void fields(V& v, TimeSplit& t) {
  v("forward_s", t.forward_s);
  v("backward_s", t.backward_s);
  v("update_s", t.update_s);
  v("sparsification_s", t.sparsification_s);
  v("arithmetic_s", t.arithmetic_s);
  v("software_s", t.software_s);
  v("exposed_communication_s", t.exposed_communication_s);
  v("exposed_copies_s", t.exposed_copies_s);
  v("waiting_s", t.waiting_s);
}

template <class V>
void fields(V& v, Overlap& o) {
  v("compute_s", o.compute_s);
  v("communication_s", o.communication_s);
  v("active_s", o.active_s);
  v("efficiency", o.efficiency);
  v("hidden_by_forward_s", o.hidden_by_forward_s);
  v("hidden_by_backward_s", o.hidden_by_backward_s);
  v("hidden_by_rest_s", o.hidden_by_rest_s);
}

template <class V>
void fields(V& v, LayerRow& r) {
  v("layer", r.layer);
  v("elements", r.elements);
  v("forward_from_s", r.forward_from_s);
  v("forward_until_s", r.forward_until_s);
  v("backward_from_s", r.backward_from_s);
  v("backward_until_s", r.backward_until_s);
  v("sent_from_s", r.sent_from_s);
  v("sent_until_s", r.sent_until_s);
  v("sent_bytes", r.sent_bytes);
  v("exposed_s", r.exposed_s);
}

template <class V>
void fields(V& v, LayerTable& t) {
  v("steps", t.steps);
  v("seconds", t.seconds);
  v("layers", t.layers);
}

template <class V>
void fields(V& v, Cost& c) {
  v("dollars_per_hour", c.dollars_per_hour);
  v("dollars_per_iteration", c.dollars_per_iteration);
  v("samples_per_dollar", c.samples_per_dollar);
  v("dollars_to_target", c.dollars_to_target);
}

template <class V>
void fields(V& v, Energy& e) {
  v("watts", e.watts);
  v("gpus_j", e.gpus_j);
  v("nodes_j", e.nodes_j);
  v("network_j", e.network_j);
  v("joules_per_iteration", e.joules_per_iteration);
  v("samples_per_joule", e.samples_per_joule);
  v("joules_to_target", e.joules_to_target);
}

template <class V>
void fields(V& v, Floor& f) {
  v("name", f.name);
  v("iteration_s", f.iteration_s);
  v("made_of", f.made_of);
}

template <class V>
void fields(V& v, EvaluatedBound& b) {
  v("name", b.name);
  v("formula", b.formula);
  v("source", b.source);
  v("iteration_s", b.iteration_s);
  v("speedup", b.speedup);
  v("over", b.over);
  v("exceeded", b.exceeded);
  v("reference", b.reference);
}

template <class V>
void fields(V& v, LinkUse& l) {
  v("name", l.name);
  v("bytes", l.bytes);
  v("bandwidth", l.bandwidth);
  v("utilisation", l.utilisation);
}

template <class V>
void fields(V& v, MemoryUse& m) {
  v("gpu", m.gpu);
  v("card_bytes", m.card_bytes);
  v("weights_bytes", m.weights_bytes);
  v("gradients_bytes", m.gradients_bytes);
  v("optimizer_bytes", m.optimizer_bytes);
  v("activations_bytes", m.activations_bytes);
  v("schedule_bytes", m.schedule_bytes);
  v("framework_bytes", m.framework_bytes);
}

template <class V>
void fields(V& v, ProfileUse& p) {
  v("gpu", p.gpu);
  v("workers", p.workers);
  v("source", p.source);
  v("description", p.description);
  v("relative_uncertainty", p.relative_uncertainty);
  v("step_s", p.step_s);
}

template <class V>
void fields(V& v, Assumption& a) {
  v("name", a.name);
  v("value", a.value);
  v("why", a.why);
}

template <class V>
void fields(V& v, LossPoint& p) {
  v("step", p.step);
  v("time_s", p.time_s);
  v("loss", p.loss);
}

template <class V>
void fields(V& v, EvaluationPoint& p) {
  v("step", p.step);
  v("time_s", p.time_s);
  v("loss", p.loss);
  v("accuracy", p.accuracy);
  v("spread", p.spread);
}

template <class V>
void fields(V& v, CompressionPoint& p) {
  v("step", p.step);
  v("layer", p.layer);
  v("elements", p.elements);
  v("selected", p.selected);
  v("residual_norm", p.residual_norm);
  v("error", p.error);
  v("delta", p.delta);
}

template <class V>
void fields(V& v, TrainingOutcome& t) {
  v("data", t.data);
  v("sharding", t.sharding);
  v("backend", t.backend);
  v("weights", t.weights);
  v("memory_bytes", t.memory_bytes);
  v("final_training_loss", t.final_training_loss);
  v("final_loss", t.final_loss);
  v("final_accuracy", t.final_accuracy);
  v("final_spread", t.final_spread);
  v("target", t.target);
  v("time_to_target_s", t.time_to_target_s);
  v("steps_to_target", t.steps_to_target);
  v("diverged_step", t.diverged_step);
  v("diverged_worker", t.diverged_worker);
  v("staleness_mean", t.staleness_mean);
  v("staleness_max", t.staleness_max);
  v("compression", t.compression);
  v("evaluations", t.evaluations);
  v("steps", t.steps);
}

template <class V>
void fields(V& v, Influence& i) {
  v("input", i.input);
  v("sigma", i.sigma);
  v("change_s", i.change_s);
}

template <class V>
void fields(V& v, JobOutcome& j) {
  v("iteration_time_s", j.iteration_time_s);
  v("median_s", j.median_s);
  v("p25_s", j.p25_s);
  v("p75_s", j.p75_s);
  v("spread", j.spread);
  v("uncertainty_s", j.uncertainty_s);
  v("influences", j.influences);
  v("time", j.time);
  v("overlap", j.overlap);
  v("one_gpu_time_s", j.one_gpu_time_s);
  v("speedup_over_one_gpu", j.speedup_over_one_gpu);
  v("scaling_efficiency", j.scaling_efficiency);
  v("s_sgd_baseline", j.s_sgd_baseline);
  v("s_sgd_time_s", j.s_sgd_time_s);
  v("speedup_over_s_sgd", j.speedup_over_s_sgd);
  v("samples_per_s", j.samples_per_s);
  v("job", j.name);
  v("model", j.model);
  v("schedule", j.schedule);
  v("schedule_description", j.schedule_description);
  v("workers", j.workers);
  v("servers", j.servers);
  v("batch", j.batch);
  v("accumulation", j.accumulation);
  v("precision", j.precision);
  v("all_reduce", j.all_reduce);
  v("top_k", j.top_k);
  v("total_time_s", j.total_time_s);
  v("steps", j.steps);
  v("simulated_steps", j.simulated_steps);
  v("extrapolated_steps", j.extrapolated_steps);
  v("warm_up_steps", j.measured_from);
  v("rounds", j.rounds);
  v("rounds_formula", j.rounds_formula);
  v("messages", j.messages);
  v("message_sizes", j.message_sizes);
  v("sent_bytes", j.sent_bytes);
  v("sent_bytes_max", j.sent_bytes_max);
  v("total_messages", j.total_messages);
  v("total_bytes", j.total_bytes);
  v("floors", j.floors);
  v("bounds", j.bounds);
  v("profiles", j.profiles);
  v("memory", j.memory);
  v("assumptions", j.assumptions);
  v("training", j.training);
}

template <class V>
void fields(V& v, RunResult& r) {
  fields(v, r.job);
  v("other_jobs", r.other_jobs);
  v("cluster", r.cluster);
  v("stack", r.stack);
  v("stack_description", r.stack_description);
  v("fidelity", r.fidelity);
  v("fidelity_reason", r.fidelity_reason);
  v("network", r.network);
  v("flow_error_bound", r.flow_error_bound);
  v("ignored_conflicts", r.ignored_conflicts);
  v("events", r.events);
  v("links", r.links);
  v("layers", r.layers);
  v("cost", r.cost);
  v("energy", r.energy);
  v("warnings", r.warnings);
  v("seed", r.seed);
  v("version", r.version);
  v("experiment", r.experiment);
}

template <class T>
constexpr bool is_plain =
    std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || std::is_same_v<T, Json>;

struct Writer {
  Json json = Json::object();

  template <class T>
  void operator()(const char* key, T& value) {
    json[key] = write(value);
  }
  template <class T>
  void operator()(const char* key, std::optional<T>& value) {
    if (value) json[key] = write(*value);
  }
  template <class T>
  static Json write(T& value) {
    if constexpr (is_plain<T>) {
      return value;
    } else {
      Writer inner;
      fields(inner, value);
      return std::move(inner.json);
    }
  }
  template <class T>
  static Json write(std::vector<T>& values) {
    Json array = Json::array();
    for (T& value : values) array.push_back(write(value));
    return array;
  }
};

struct Reader {
  const Json& json;

  template <class T>
  void operator()(const char* key, T& value) {
    read(json.at(key), value);
  }
  template <class T>
  void operator()(const char* key, std::optional<T>& value) {
    if (const auto it = json.find(key); it != json.end()) read(*it, value.emplace());
  }
  template <class T>
  static void read(const Json& from, T& value) {
    if constexpr (std::is_same_v<T, Json>) {
      value = from;
    } else if constexpr (is_plain<T>) {
      value = from.get<T>();
    } else {
      Reader inner{from};
      fields(inner, value);
    }
  }
  template <class T>
  static void read(const Json& from, std::vector<T>& values) {
    for (const Json& item : from) read(item, values.emplace_back());
  }
};

}  // namespace

Json to_json(const RunResult& result) {
  RunResult visited = result;
  Writer writer;
  writer.json["format"] = "paceline-result-1";
  writer.json["name"] = result.name;
  fields(writer, visited);
  return std::move(writer.json);
}

RunResult result_from_json(const Json& json, const std::string& file) {
  RunResult result;
  try {
    if (json.at("format") != "paceline-result-1")
      throw InputError(fmt::format("{}: $.format: expected \"paceline-result-1\"", file));
    result.name = json.at("name").get<std::string>();
    Reader reader{json};
    fields(reader, result);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(fmt::format("{}: not a result: {}", file, json_reason(error)));
  }
  return result;
}

}  // namespace paceline
