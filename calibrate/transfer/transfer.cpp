#include "calibrate/transfer/transfer.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/defaults.hpp"
#include "base/json.hpp"
#include "base/least_squares.hpp"
#include "base/statistics.hpp"
#include "calibrate/profile/gpu_ceilings.hpp"

namespace paceline {
namespace {

const Default kRidge{
    "transfer.ridge", 1, "",
    "weight of the penalty on standardised features when a time is taken from one GPU to another"};
constexpr std::size_t kLeastAnchors = 10, kFolds = 5;
const Default kStreamingSigma{"transfer.streaming_sigma", 0.15, "",
                              "relative sigma of element-wise kernels that do not fit the L2"};
const Default kUnknownSigma{"transfer.unknown_sigma", 0.3, "",
                            "relative sigma of kernels of which nothing is known"};
const Default kShareOfL2{"transfer.share_of_l2", 0.5, "",
                         "share of the L2 that data may take to stay in it"};

double roof(const TransferAnchor& kernel, const TransferGpu& gpu, double bandwidth,
            double saving = 1) {
  return std::max(kernel.flops / (saving * gpu.ceilings.sgemm_flops), kernel.bytes / bandwidth);
}

bool fits_l2(const TransferAnchor& kernel, const TransferGpu& gpu) {
  const bool weights = kernel.law == "gemm" || kernel.law.starts_with("rnn");
  return !weights && kernel.bytes <= kShareOfL2 * gpu.l2_bytes;
}

struct Features {
  double intensity = 0, work = 0;
};

Features features_of(const TransferAnchor& kernel, const TransferGpu& from, const TransferGpu& to) {
  const double bandwidth = transfer_bandwidths(kernel, from, to).second;
  return {std::log(std::max(kernel.flops, 1.0) / std::max(kernel.bytes, 1.0)) - 3,
          std::log(std::max(roof(kernel, to, bandwidth), 1e-9)) + 8};
}

// What uncorrected transfers between DeepBench's GPUs showed, by group.
const std::map<std::string, double>& uncorrected_sigmas() {
  static const std::map<std::string, double> sigmas = [] {
    std::map<std::string, std::vector<double>> of_group;
    for (const auto& [from, to] : validation_pairs())
      for (const TransferErrors& errors : validate_transfer(from, to))
        if (errors.raw.points > 0) of_group[errors.group].push_back(errors.raw.log_sigma);
    std::map<std::string, double> result;
    for (const auto& [group, values] : of_group) result[group] = median(values);
    return result;
  }();
  return sigmas;
}

}  // namespace

L2Use l2_use(const TransferAnchor& kernel, const TransferGpu& from, const TransferGpu& to) {
  bool any = false, known = from.l2_bytes > 0 && to.l2_bytes > 0;
  for (const TransferGpu& gpu : {from, to}) {
    if (!fits_l2(kernel, gpu)) continue;
    any = true;
    known = known && gpu.l2_bandwidth > 0;
  }
  return !any ? L2Use::none : known ? L2Use::known : L2Use::unknown;
}

std::pair<double, double> transfer_bandwidths(const TransferAnchor& kernel, const TransferGpu& from,
                                              const TransferGpu& to) {
  const bool known = l2_use(kernel, from, to) == L2Use::known;
  const auto bandwidth = [&](const TransferGpu& gpu) {
    return known && fits_l2(kernel, gpu) ? gpu.l2_bandwidth : gpu.ceilings.memory_bandwidth;
  };
  return {bandwidth(from), bandwidth(to)};
}

double roofline_transfer(double seconds, const TransferAnchor& kernel, const TransferGpu& from,
                         const TransferGpu& to) {
  const auto [there, here] = transfer_bandwidths(kernel, from, to);
  const double net = std::max(seconds - from.launch_s, 0.0);
  const double saving = kernel.three_by_three ? double{kWinogradSaving} : 1;
  const double floor_from = roof(kernel, from, there, saving);
  const double floor_to = roof(kernel, to, here, saving);
  const double scaled = net * roof(kernel, to, here) / roof(kernel, from, there);
  const double floor = floor_to * std::min(1.0, net / floor_from);
  const double launched = from.launch_s > 0 ? std::min(1.0, seconds / from.launch_s) : 1;
  return launched * to.launch_s + std::max(scaled, floor);
}

double TransferModel::Correction::log_kappa(double intensity_of, double work_of) const {
  return constant + intensity * std::clamp(intensity_of, intensities.least, intensities.most) +
         work * std::clamp(work_of, works.least, works.most);
}

TransferModel::Correction TransferModel::fit(
    const std::vector<const TransferAnchor*>& of_class) const {
  DesignMatrix features(3);
  std::vector<double> logs;
  for (const TransferAnchor* anchor : of_class) {
    const Features values = features_of(*anchor, from_, to_);
    features.add({1, values.intensity, values.work});
    logs.push_back(std::log(anchor->to_s / roofline_transfer(anchor->from_s, *anchor, from_, to_)));
  }
  const std::vector<double> solution =
      ridge_regression(features, logs, std::array<double, 3>{0, kRidge, kRidge});
  const auto range = [&](std::size_t column) -> Range {
    const std::vector<double> values = features.column(column);
    return {std::ranges::min(values), std::ranges::max(values)};
  };
  return {of_class.front()->law,
          of_class.size(),
          solution[0],
          solution[1],
          solution[2],
          0,
          range(1),
          range(2)};
}

TransferModel::TransferModel(TransferGpu from, TransferGpu to,
                             const std::vector<TransferAnchor>& anchors)
    : from_(from), to_(to) {
  std::map<std::string, std::vector<const TransferAnchor*>> classes;
  for (const TransferAnchor& anchor : anchors) classes[anchor.law].push_back(&anchor);
  for (const auto& [law, of_class] : classes) {
    if (of_class.size() < kLeastAnchors) continue;
    double squares = 0;
    for (std::size_t fold = 0; fold < kFolds; ++fold) {
      std::vector<const TransferAnchor*> others;
      for (std::size_t i = 0; i < of_class.size(); ++i)
        if (i % kFolds != fold) others.push_back(of_class[i]);
      const Correction without = fit(others);
      for (std::size_t i = fold; i < of_class.size(); i += kFolds) {
        const TransferAnchor& anchor = *of_class[i];
        const Features values = features_of(anchor, from_, to_);
        const double error =
            std::log(roofline_transfer(anchor.from_s, anchor, from_, to_) / anchor.to_s) +
            without.log_kappa(values.intensity, values.work);
        squares += error * error;
      }
    }
    corrections_.push_back(fit(of_class));
    corrections_.back().sigma = std::sqrt(squares / static_cast<double>(of_class.size()));
  }
}

const TransferModel::Correction* TransferModel::correction(std::string_view law) const {
  for (const Correction& correction : corrections_)
    if (correction.law == law) return &correction;
  return nullptr;
}

double TransferModel::seconds(double from_s, const TransferAnchor& kernel) const {
  const double seconds = roofline_transfer(from_s, kernel, from_, to_);
  const Correction* found = correction(kernel.law);
  if (found == nullptr) return seconds;
  const Features values = features_of(kernel, from_, to_);
  return seconds * std::exp(found->log_kappa(values.intensity, values.work));
}

double TransferModel::source_roof(const TransferAnchor& kernel) const {
  return roof(kernel, from_, transfer_bandwidths(kernel, from_, to_).first);
}

double TransferModel::sigma(std::string_view law) const {
  if (from_.ceilings.sgemm_flops == to_.ceilings.sgemm_flops &&
      from_.ceilings.memory_bandwidth == to_.ceilings.memory_bandwidth && corrections_.empty())
    return 0;
  if (const Correction* found = correction(law)) return found->sigma;
  if (law == "streaming") return kStreamingSigma;
  const auto found = uncorrected_sigmas().find(transfer_group(std::string(law)));
  return found == uncorrected_sigmas().end() ? double{kUnknownSigma} : found->second;
}

double TransferModel::sigma(const TransferAnchor& kernel) const {
  const double usual = sigma(kernel.law);
  const bool missing = kernel.law == "streaming" && l2_use(kernel, from_, to_) == L2Use::unknown;
  return usual > 0 && missing ? std::max(usual, double{kUnknownSigma}) : usual;
}

Json TransferModel::record() const {
  Json rows = Json::array();
  for (const Correction& correction : corrections_)
    rows.push_back({{"class", correction.law},
                    {"anchors", correction.anchors},
                    {"cross_validated_sigma", correction.sigma}});
  return rows;
}

std::string transfer_group(const std::string& law) {
  if (law.starts_with("rnn")) return "rnn";
  if (!law.starts_with("conv")) return law;
  return "conv" + law.substr(law.find(' ', 5));
}

}  // namespace paceline
