// A whole profile on another GPU.

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "calibrate/analytic/analytic.hpp"
#include "calibrate/transfer/transfer.hpp"

namespace paceline {
namespace {

constexpr double kMostUncertainty = 10;  // what read_profile() takes

class Refusal {
 public:
  explicit Refusal(std::string file) : file_(std::move(file)) {}
  [[noreturn]] void operator()(const std::string& path, const std::string& why) const {
    throw InputError(fmt::format("{}: {}: {}", file_, path, why));
  }

 private:
  std::string file_;
};

std::string class_of(const Operation& operation, const char* pass) {
  if (const auto* conv = std::get_if<Conv2dOp>(&operation.attributes))
    return fmt::format("{} {}", convolution_class(conv->kernel.height, conv->kernel.width), pass);
  if (operation.is<DenseOp>() || operation.is<AttentionOp>()) return "gemm";
  if (operation.is<LstmOp>()) return fmt::format("rnn {}", pass);
  return "streaming";
}

class LayerTransfer {
 public:
  LayerTransfer(const TransferModel& transfer, const Model& model, std::size_t operation,
                std::int64_t batch)
      : transfer_(transfer),
        model_(model),
        operation_(model.operations()[operation]),
        batch_(static_cast<double>(batch)) {}

  LayerTimes operator()(const LayerTimes& from) {
    LayerTimes to{from.name, {}, {}, {}};
    to.forward = timing(from.forward, {forward()});
    const bool split = from.backward_weight.median_s > 0 || operation_.backward_weight_flops == 0;
    if (split) {
      to.backward_data = timing(from.backward_data, {backward_data()});
      to.backward_weight = timing(from.backward_weight, {backward_weight()});
    } else {
      to.backward_data = timing(from.backward_data, {backward_data(), backward_weight()});
    }
    return to;
  }
  /// Seconds times sigma, summed over the passes.
  [[nodiscard]] double error_s() const { return error_s_; }
  [[nodiscard]] double total_s() const { return total_s_; }
  /// Passes that fit an L2 of unknown bandwidth.
  [[nodiscard]] int unknown_l2() const { return unknown_l2_; }

 private:
  [[nodiscard]] TransferAnchor kernel(const char* pass, double flops, double bytes) const {
    const std::string law = class_of(operation_, pass);
    TransferAnchor kernel{law, flops, bytes, law.starts_with("conv 3x3"), 0, 0};
    if (!operation_.is<LstmOp>()) return kernel;
    // As DeepBench's recurrent layers are counted: the weights are read in every step.
    const auto hidden = static_cast<double>(std::get<LstmOp>(operation_.attributes).hidden);
    const auto& in = model_.operations()[operation_.inputs.at(0)].output_shape;
    kernel.bytes = recurrent_bytes(4, hidden, static_cast<double>(in.at(1)), batch_,
                                   static_cast<double>(in.at(0)));
    return kernel;
  }
  [[nodiscard]] TransferAnchor forward() const {
    return kernel("forward", operation_.forward_flops * batch_,
                  operation_.forward_bytes * batch_ + operation_.parameter_bytes);
  }
  [[nodiscard]] TransferAnchor backward_data() const {
    return kernel("backward data", operation_.backward_data_flops * batch_,
                  (operation_.backward_bytes - operation_.backward_weight_bytes) * batch_ +
                      operation_.parameter_bytes);
  }
  [[nodiscard]] TransferAnchor backward_weight() const {
    return kernel("backward weight", operation_.backward_weight_flops * batch_,
                  operation_.backward_weight_bytes * batch_ + operation_.gradient_bytes);
  }

  // Several kernels timed as one share the time in proportion to what each would take at the
  // ceilings.
  Timing timing(const Timing& from, std::vector<TransferAnchor> kernels) {
    if (from.median_s == 0) return from;
    std::erase_if(kernels, [](const TransferAnchor& k) { return k.flops == 0 && k.bytes == 0; });
    if (kernels.empty()) return from;
    double roofs = 0;
    for (const TransferAnchor& k : kernels) roofs += transfer_.source_roof(k);
    Timing to;
    for (const TransferAnchor& k : kernels) {
      const double seconds =
          transfer_.seconds(from.median_s * (transfer_.source_roof(k) / roofs), k);
      to.median_s += seconds;
      error_s_ += seconds * transfer_.sigma(k);
      if (l2_use(k, transfer_.from(), transfer_.to()) == L2Use::unknown) ++unknown_l2_;
    }
    const double ratio = to.median_s / from.median_s;
    if (from.p25_s) to.p25_s = *from.p25_s * ratio;
    if (from.p75_s) to.p75_s = *from.p75_s * ratio;
    total_s_ += to.median_s;
    return to;
  }

  const TransferModel& transfer_;
  const Model& model_;
  const Operation& operation_;
  double batch_;
  double error_s_ = 0, total_s_ = 0;
  int unknown_l2_ = 0;
};

void check_layers(const Profile& from, const Model& model, const Refusal& refuse) {
  const std::vector<std::size_t> timed = timed_operations(model);
  for (std::size_t b = 0; b < from.batches.size(); ++b) {
    const BatchTimes& times = from.batches[b];
    const std::string path = fmt::format("$.batches[{}]", b);
    if (!times.batch) refuse(path, "expected 'batch'");
    if (times.whole_net) refuse(path + ".whole_net", "expected the times of its layers");
    for (std::size_t i = 0; i < std::min(timed.size(), times.layers.size()); ++i)
      if (const std::string& name = model.operations()[timed[i]].name; times.layers[i].name != name)
        refuse(fmt::format("{}.layers[{}].name", path, i),
               fmt::format("expected '{}', as in model '{}', found '{}'", name, model.name(),
                           times.layers[i].name));
    if (times.layers.size() != timed.size())
      refuse(path + ".layers", fmt::format("expected the {} layers of model '{}', found {}",
                                           timed.size(), model.name(), times.layers.size()));
  }
}

void check_source(const Profile& from, const Model& model, const Refusal& refuse) {
  if (from.model != model.name() && from.model != model.title())
    refuse("$.model", fmt::format("it is not of '{}' but of '{}'", model.name(), from.model));
  if (from.source != ProfileSource::measured)
    refuse("$.source", fmt::format("it is {}, not measured, and cannot be transferred",
                                   to_string(from.source)));
  if (from.precision != "fp32")
    refuse("$.precision",
           fmt::format("its precision is {}; only fp32 can be transferred", from.precision));
  check_layers(from, model, refuse);
}

// A ceiling that a device may have; beyond that it is a mistake, and so would be every time.
struct Plausible {
  const char* path;
  double least, most;
  const char* text;
};
constexpr Plausible kSgemm{"$.ceilings.sgemm", 1e6, 1e18, "between 1 MFLOPS and 1 EFLOPS"};
constexpr Plausible kMemory{"$.ceilings.memory_bandwidth", 1e6, 1e15, "between 1 MB/s and 1 PB/s"};
constexpr Plausible kL2{"$.ceilings.l2_bandwidth", 1e6, 1e16, "between 1 MB/s and 10 PB/s"};

void take(const std::optional<double>& own, const Plausible& range, const Refusal& refuse,
          double& speed) {
  if (own) speed = *own;
  if (own && !(*own >= range.least && *own <= range.most))
    refuse(range.path, fmt::format("expected a value {}", range.text));
}

void carry_over(const Profile& from, const TransferModel& transfer, const GpuSpec& to_gpu,
                Profile& to) {
  to.source = ProfileSource::transferred;
  to.device = to_gpu.name;
  to.software = from.software;
  to.parent = profile_hash(from);
  to.host_overhead_per_op_s = from.host_overhead_per_op_s;
  const TransferGpu& target = transfer.to();
  to.ceilings = {target.ceilings.sgemm_flops, target.ceilings.memory_bandwidth, {}};
  if (target.l2_bandwidth > 0) to.ceilings.l2_bandwidth = target.l2_bandwidth;
  to.operations = analytic_operations(to_gpu);
}

Json l2_record(const TransferModel& transfer, int unknown) {
  const auto text = [](const TransferGpu& gpu) -> Json {
    return {{"size", gpu.l2_bytes > 0 ? format_bytes(gpu.l2_bytes) : "not known"},
            {"bandwidth", gpu.l2_bandwidth > 0 ? format_bandwidth(gpu.l2_bandwidth) : "not known"}};
  };
  return {{"source", text(transfer.from())},
          {"target", text(transfer.to())},
          {"passes_that_fit_an_l2_of_unknown_bandwidth", unknown}};
}

}  // namespace

TransferGpu transfer_source(const Profile& profile, const std::string& file) {
  const Refusal refuse(file);
  const GpuSpec* known = known_gpu(profile.device);
  TransferGpu gpu{};
  if (known != nullptr) gpu = transfer_gpu(*known);
  const Ceilings& own = profile.ceilings;
  take(own.sgemm_flops, kSgemm, refuse, gpu.ceilings.sgemm_flops);
  take(own.memory_bandwidth, kMemory, refuse, gpu.ceilings.memory_bandwidth);
  take(own.l2_bandwidth, kL2, refuse, gpu.l2_bandwidth);
  for (const auto& [speed, range] : {std::pair{gpu.ceilings.sgemm_flops, kSgemm},
                                     std::pair{gpu.ceilings.memory_bandwidth, kMemory}})
    if (speed == 0)
      refuse(range.path, fmt::format("missing, and '{}' is not in the GPU table", profile.device));
  if (profile.operations.launch_s) gpu.launch_s = *profile.operations.launch_s;
  if (gpu.launch_s > 1) refuse("$.operations.launch", "expected at most 1 s");
  const Json::json_pointer l2("/device/l2_bytes");
  if (profile.metadata->contains(l2) && profile.metadata->at(l2).is_number())
    gpu.l2_bytes = profile.metadata->at(l2).get<double>();
  return gpu;
}

std::string profile_hash(const Profile& profile) {
  return fmt::format("fnv1a64:{:016x}", fnv1a64(profile_json(profile).dump(2)));
}

Profile transfer_profile(const Profile& from, const Model& model, const GpuSpec& to_gpu,
                         const std::vector<TransferAnchor>& anchors, const std::string& file) {
  const Refusal refuse(file);
  check_source(from, model, refuse);
  const TransferGpu source = transfer_source(from, file);
  const bool same = known_gpu(from.device) == &to_gpu;
  const TransferModel transfer(source, same ? source : transfer_gpu(to_gpu), anchors);

  Profile to;
  carry_over(from, transfer, to_gpu, to);
  to.model = model.name();
  to.description =
      fmt::format("from {}, ratio of ceilings, {}", from.device,
                  transfer.has_anchors() ? fmt::format("corrected on {} anchors", anchors.size())
                                         : "without anchors");
  const std::vector<std::size_t> timed = timed_operations(model);
  Json sigmas = Json::object();
  int unknown_l2 = 0;
  for (const BatchTimes& times : from.batches) {
    BatchTimes moved;
    moved.batch = times.batch;
    moved.input_pipeline_s = times.input_pipeline_s;
    moved.host_overhead_per_op_s = times.host_overhead_per_op_s;
    double error = 0, total = 0;
    for (std::size_t i = 0; i < timed.size(); ++i) {
      LayerTransfer layer(transfer, model, timed[i], *times.batch);
      moved.layers.push_back(layer(times.layers[i]));
      error += layer.error_s();
      total += layer.total_s();
      unknown_l2 += layer.unknown_l2();
      if (layer.total_s() > 0)
        sigmas[moved.layers.back().name] =
            std::hypot(from.uncertainty, layer.error_s() / layer.total_s());
    }
    if (total > 0)
      to.uncertainty = std::max(to.uncertainty, std::hypot(from.uncertainty, error / total));
    to.batches.push_back(std::move(moved));
  }
  if (!(to.uncertainty <= kMostUncertainty))
    refuse("$.uncertainty", fmt::format("{} becomes {:.6g} there, more than the {} that a profile "
                                        "may state",
                                        from.uncertainty, to.uncertainty, kMostUncertainty));
  *to.metadata = {{"parent_device", from.device},
                  {"parent_uncertainty", from.uncertainty},
                  {"classes", transfer.record()},
                  {"l2", l2_record(transfer, unknown_l2)},
                  {"layer_sigma", std::move(sigmas)}};
  return read_profile(profile_json(to), fmt::format("{} on the {}", file, to_gpu.name));
}

}  // namespace paceline
