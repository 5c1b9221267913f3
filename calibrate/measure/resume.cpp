#include "calibrate/measure/resume.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/measure/gpu.hpp"
#include "calibrate/profile/step_costs.hpp"

namespace paceline {
namespace {

constexpr double kLeastClosure = 0.1;  // of a profile to go on with

[[noreturn]] void refuse_known(const std::string& why) {
  throw InputError(
      fmt::format("the profile to go on with {}: give another output file, or --again", why));
}

void check_known_batch(const Model& model, const Profile& known, const BatchTimes& times) {
  if (!times.batch) refuse_known("does not state its batch");
  const auto refuse = [&](std::string_view why) {
    refuse_known(fmt::format("is no measurement of ours: its batch {} {}", *times.batch, why));
  };
  if (times.whole_net) refuse("has times of the whole network only");
  if (!times.iteration) refuse("has no 'iteration'");
  const Timing& iteration = *times.iteration;
  if (!(iteration.median_s > 0 && iteration.p25_s && *iteration.p25_s > 0))
    refuse("has an 'iteration' without a median and quartiles above 0");
  if (!times.closure_ratio || *times.closure_ratio < kLeastClosure ||
      *times.closure_ratio > 1 / kLeastClosure)
    refuse("has no believable 'closure_ratio'");
  step_costs(model, known, *times.batch);  // throws if the layers are not the model's
}

std::string text_at(const Json& json, const char* object, const char* key) {
  if (!json.is_object() || !json.contains(object) || !json.at(object).is_object()) return {};
  const Json& found = json.at(object);
  return found.contains(key) && found.at(key).is_string() ? found.at(key).get<std::string>()
                                                          : std::string();
}

}  // namespace

void check_known(const Model& model, const Profile& known, const Profile& fresh) {
  const auto same = [](std::string_view what, const std::string& had, const std::string& is) {
    if (had != is) refuse_known(fmt::format("is of {} '{}', not '{}'", what, had, is));
  };
  same("model", known.model, fresh.model);
  same("device", known.device, fresh.device);
  same("precision", known.precision, fresh.precision);
  same("source", to_string(known.source), to_string(fresh.source));
  const auto backend = [](const Profile& profile) {
    const auto found = profile.software.find("backend");
    return found == profile.software.end() ? std::string("unknown") : found->second;
  };
  same("software", backend(known), backend(fresh));
  for (const BatchTimes& times : known.batches) check_known_batch(model, known, times);
  const auto object = [](const Json& json) { return json.is_object(); };
  if (!object(*known.metadata)) refuse_known("has metadata that are no object");
  for (const char* key : {"batches", "operations"})
    if (known.metadata->contains(key) && !object(known.metadata->at(key)))
      refuse_known(fmt::format("has metadata.{} that is no object", key));
  if (known.metadata->contains("batches"))
    for (const Json& record : known.metadata->at("batches"))
      if (!object(record)) refuse_known("has metadata.batches that are no objects");
  if (!known.operations.launch_s && known.metadata->contains("operations"))
    check_operations_record(known.metadata->at("operations"));
}

void take_operations_from(Profile& profile, const Profile& other) {
  const auto refuse = [](std::string_view why) {
    throw InputError(fmt::format("--operations-from: that profile {}", why));
  };
  const std::string here = text_at(*profile.metadata, "device", "uuid_hash");
  if (here.empty() || text_at(*other.metadata, "device", "uuid_hash") != here)
    refuse("is not of this GPU (metadata.device.uuid_hash)");
  if (other.precision != profile.precision ||
      other.software.count("backend") != profile.software.count("backend") ||
      other.software.at("backend") != profile.software.at("backend"))
    refuse("was measured with other software or precision");
  if (!other.operations.launch_s || !other.metadata->contains("operations") ||
      !other.metadata->value("operations_complete", true))
    refuse("has no complete operations");
  profile.operations = other.operations;
  profile.ceilings = other.ceilings;
  (*profile.metadata)["operations"] = other.metadata->at("operations");
  (*profile.metadata)["operations_from"] = {{"model", other.model},
                                            {"date", other.metadata->value("date", "unknown")}};
  (*profile.metadata)["operations_complete"] = true;
}

bool has_batch(const Profile& profile, std::int64_t batch) {
  return std::any_of(profile.batches.begin(), profile.batches.end(),
                     [&](const BatchTimes& times) { return times.batch == batch; });
}

bool operations_pending(const Profile& profile) {
  return !profile.operations.launch_s || !profile.metadata->value("operations_complete", true);
}

std::vector<std::int64_t> unfinished_operators(const Profile& profile) {
  std::vector<std::int64_t> result;
  if (!profile.metadata->contains("batches")) return result;
  const Json& records = profile.metadata->at("batches");
  for (const BatchTimes& times : profile.batches) {
    const std::string key = std::to_string(*times.batch);
    if (records.contains(key) && !records.at(key).value("operators_complete", true))
      result.push_back(*times.batch);
  }
  return result;
}

}  // namespace paceline
