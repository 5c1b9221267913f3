// Every different layer of a network alone on a GPU, over caches that are cold or hot.
#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "base/json.hpp"
#include "base/statistics.hpp"
#include "calibrate/measure/batch.hpp"
#include "calibrate/measure/gpu.hpp"
#include "calibrate/measure/rotated_layer.hpp"

namespace paceline {
namespace {

using kernels::CudaBackend;

using Pass = std::function<void(RotatedLayer&, std::size_t)>;

std::vector<double> time_pass(CudaBackend& gpu, RotatedLayer& layer, int sets, double limit,
                              const Pass& pass) {
  const kernels::ReplayOptions replays{.buffers = sets,
                                       .sample_seconds = std::min(1e-3, limit / 20),
                                       .samples = 15,
                                       .warm_up_seconds = std::min(0.15, limit / 4),
                                       .limit_seconds = limit};
  return gpu.time_replays(replays, [&](int s) { pass(layer, static_cast<std::size_t>(s)); })
      .seconds;
}

Json time_operator(CudaBackend& gpu, const NetworkStep& step, double limit) {
  const double touched = RotatedLayer::touched_bytes(step.shape);
  RotatedLayer layer(gpu, step.shape, rotation(gpu, touched, 2 * touched));
  const Pass forward = [](RotatedLayer& l, std::size_t s) { l.forward(s); };
  const Pass backward = [](RotatedLayer& l, std::size_t s) { l.backward(s); };
  const Pass both = [](RotatedLayer& l, std::size_t s) { l.forward(s), l.backward(s); };
  // A recurrent layer's backward pass uses up what the forward pass left: repeated alone it would
  // run on values that decay to zero, which are faster.
  const bool recurrent = std::holds_alternative<kernels::LstmShape>(step.shape);
  Json row{{"buffers", layer.sets()}, {"bytes", touched * layer.sets()}};
  for (const bool cold : {true, false}) {
    const int sets = cold ? layer.sets() : 1;
    const std::string suffix = cold ? "_cold" : "_hot";
    const std::vector<double> ahead = time_pass(gpu, layer, sets, limit, forward);
    row["forward" + suffix] = summary_of(ahead);
    if (!step.backward) continue;
    layer.forward(0);  // the last one may have been of another set
    std::vector<double> back = time_pass(gpu, layer, sets, limit, recurrent ? both : backward);
    if (recurrent)
      for (double& seconds : back) seconds = std::max(0.0, seconds - median(ahead));
    row["backward" + suffix] = summary_of(back);
  }
  if (step.backward && recurrent)
    row["backward"] = "forward and backward less the forward's median";
  return row;
}

}  // namespace

int rotation(const CudaBackend& gpu, double touched, double held) {
  const double l2 = static_cast<double>(gpu.device().l2_bytes);
  const double room = static_cast<double>(gpu.device().memory_bytes) / 4;
  return static_cast<int>(
      std::max(1.0, std::min({64.0, std::floor(2 * l2 / touched) + 1, std::floor(room / held)})));
}

bool measure_operators(const Model& model, CudaBackend& gpu, std::int64_t batch,
                       const MeasureOptions& options, Json& rows,
                       const std::function<void(double)>& report,
                       const std::function<void()>& save) {
  const NetworkPlan plan = plan_network(model, batch);
  std::vector<kernels::LayerShape> seen;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const NetworkStep& step = plan.steps[i];
    report(double(i) / double(plan.steps.size()));
    if (std::find(seen.begin(), seen.end(), step.shape) != seen.end()) continue;
    seen.push_back(step.shape);
    if (seen.size() <= rows.size()) continue;  // measured before an interruption
    if (stopped(options)) return false;
    Json row{{"layer", model.operations()[step.operation].name},
             {"kind", kernels::layer_name(step.shape)}};
    try {
      row.update(time_operator(gpu, step, std::min(2.0, options.seconds / 5)));
    } catch (const std::runtime_error& error) {  // no memory for a second network, say
      row["error"] = error.what();
    }
    rows.push_back(std::move(row));
    save();
  }
  return true;
}

}  // namespace paceline
