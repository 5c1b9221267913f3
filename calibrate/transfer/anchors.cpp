#include "calibrate/transfer/anchors.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "base/error.hpp"
#include "base/format.hpp"
#include "base/json.hpp"

namespace paceline {
namespace {

std::string text(double seconds) {
  return fmt::format("{}s", seconds);  // reads back as the same number
}

Json timing_json(const Timing& timing) {
  return {{"median", text(timing.median_s)},
          {"p25", text(timing.p25_s.value_or(timing.median_s))},
          {"p75", text(timing.p75_s.value_or(timing.median_s))}};
}

Timing read_timing(ObjectReader fields) {
  const Timing timing{fields.duration("median"), fields.duration("p25"), fields.duration("p75")};
  fields.finish();
  if (!(timing.median_s > 0) || !std::isfinite(*timing.p75_s) || *timing.p25_s > timing.median_s ||
      *timing.p75_s < timing.median_s)
    fields.fail("expected p25 <= median <= p75, and a median above 0");
  return timing;
}

MeasuredAnchor read_anchor(ObjectReader reader) {
  MeasuredAnchor anchor;
  anchor.law = reader.string("law");
  anchor.key = reader.string("key");
  anchor.hot = read_timing(reader.object("hot"));
  anchor.cold = read_timing(reader.object("cold"));
  anchor.buffers = static_cast<int>(reader.integer("buffers", 1, 1 << 20));
  anchor.sm_mhz = static_cast<int>(reader.integer("sm_mhz", 0, 1 << 20));
  anchor.dropped = static_cast<int>(reader.integer("dropped", 0, 1 << 20));
  anchor.warm = reader.boolean("warm", true);
  reader.finish();
  return anchor;
}

}  // namespace

AnchorSet read_anchors(const Json& json, const std::string& file) {
  ObjectReader reader(json, file);
  AnchorSet set;
  expect_format(reader, "paceline-anchors-1");
  reader.choice("source", {"measured"});
  set.device = reader.string("device");
  reader.choice("precision", {"fp32"});
  ObjectReader software = reader.object("software");
  for (const std::string& name : software.keys()) set.software[name] = software.string(name);
  std::set<std::pair<std::string, std::string>> seen;
  for (const ObjectReader& kernel : reader.objects("kernels")) {
    set.kernels.push_back(read_anchor(kernel));
    if (!seen.insert({set.kernels.back().law, set.kernels.back().key}).second)
      kernel.fail(fmt::format("'{}' of '{}' appears twice", set.kernels.back().key,
                              set.kernels.back().law));
  }
  if (reader.has("metadata")) set.metadata = reader.raw("metadata");
  reader.finish();
  return set;
}

Json anchors_json(const AnchorSet& anchors) {
  Json kernels = Json::array();
  for (const MeasuredAnchor& anchor : anchors.kernels)
    kernels.push_back({{"law", anchor.law},
                       {"key", anchor.key},
                       {"hot", timing_json(anchor.hot)},
                       {"cold", timing_json(anchor.cold)},
                       {"buffers", anchor.buffers},
                       {"sm_mhz", anchor.sm_mhz},
                       {"dropped", anchor.dropped},
                       {"warm", anchor.warm}});
  return {{"format", "paceline-anchors-1"}, {"source", "measured"},
          {"device", anchors.device},       {"precision", "fp32"},
          {"software", anchors.software},   {"kernels", std::move(kernels)},
          {"metadata", anchors.metadata}};
}

AnchorSet load_anchors(const std::filesystem::path& file) {
  return read_anchors(load_json(file), file.string());
}

std::vector<TransferAnchor> pair_anchors(const AnchorSet& source, std::string_view deepbench_gpu) {
  std::map<std::pair<std::string, std::string>, double> seconds;
  for (const MeasuredAnchor& anchor : source.kernels)
    seconds[{anchor.law, anchor.key}] = anchor.hot.median_s;
  std::vector<TransferAnchor> anchors;
  for (const DeepBenchPoint& point : shipped_deepbench(deepbench_gpu).points)
    if (const auto found = seconds.find({point.law, point.key}); found != seconds.end())
      anchors.push_back({point.law, point.flops, point.bytes, point.three_by_three, found->second,
                         point.seconds});
  return anchors;
}

void check_anchors(const AnchorSet& anchors, const Profile& profile, const std::string& file) {
  const auto same = [&](const std::string& path, const std::string& is, const std::string& wanted) {
    if (is != wanted)
      throw InputError(fmt::format("{}: {}: the anchors are of '{}', the profile is of '{}'", file,
                                   path, is, wanted));
  };
  const GpuSpec* gpu = known_gpu(profile.device);
  if (gpu == nullptr || known_gpu(anchors.device) != gpu)
    same("$.device", anchors.device, profile.device);
  for (const char* library : {"engine", "cuDNN", "cuBLAS", "backend"}) {
    const auto ours = anchors.software.find(library), theirs = profile.software.find(library);
    if (ours != anchors.software.end() && theirs != profile.software.end())
      same(fmt::format("$.software.{}", library), ours->second, theirs->second);
  }
}

}  // namespace paceline
