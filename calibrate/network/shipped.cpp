#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "calibrate/analytic/deepbench.hpp"
#include "calibrate/network/link.hpp"

namespace paceline {
namespace {

constexpr std::size_t kLeastSizes = 3;  // DeepBench has no times at all of some GPUs

Json published() {
  return parse_json(shipped_data("published/network-fits.json"), "shipped network-fits.json");
}

ShippedFit published_fit(const std::string& name, MessagePattern kind, int ranks, double alpha_s,
                         double beta_s_per_byte) {
  TransferSegment segment;
  segment.alpha_s = alpha_s;
  segment.beta_s_per_byte = beta_s_per_byte;
  segment.to_bytes = kInfinity;
  ShippedFit shipped{name, {{kind, {}, {}, name}, {{segment}, segment, {}}}};
  if (ranks > 0) shipped.fitted.log.ranks = ranks;
  return shipped;
}

void add_deepbench(std::vector<ShippedFit>& fits) {
  const CsvTable table(shipped_data("deepbench/allreduce.csv"), "shipped deepbench/allreduce.csv");
  std::map<std::pair<std::string, int>, std::vector<MessageSample>> groups;
  for (std::size_t row = 0; row < table.rows(); ++row)
    if (table.is_number(row, "ms"))
      groups[{table.text(row, "gpu"), static_cast<int>(table.number(row, "chips"))}].push_back(
          {4 * table.number(row, "n"), table.number(row, "ms") * 1e-3, table.line(row)});
  for (const auto& [key, samples] : groups) {
    const std::string name = fmt::format("DeepBench {} x{}", key.first, key.second);
    if (samples.size() < kLeastSizes) continue;
    fits.push_back(
        {name,
         {{MessagePattern::all_reduce, key.second, samples, name}, fit_transfers(samples, name)}});
  }
}

// t = 2 (a + b bytes): two all-gathers, of indices and of values. A fit here is of one.
void add_sparse_all_gathers(const Json& all, std::vector<ShippedFit>& fits) {
  for (const auto& [key, label] :
       {std::pair("first_fit", ""), std::pair("later_fit_small", ", later fit")})
    for (const auto& [ranks, fit] : all.at(key).items())
      fits.push_back(
          published_fit(fmt::format("1GbE sparse all-gather P102-100 x{}{}", ranks, label),
                        MessagePattern::all_gather, std::stoi(ranks), fit.at(0), fit.at(1)));
}

}  // namespace

std::vector<ShippedFit> shipped_network_fits() {
  std::vector<ShippedFit> fits;
  add_deepbench(fits);
  const Json json = published();
  for (const Json& item : json.at("allreduce"))
    fits.push_back(published_fit(item.at("cluster"), MessagePattern::all_reduce, item.at("ranks"),
                                 item.at("alpha_s"), item.at("beta_s_per_byte")));
  const Json& pair = json.at("point_to_point_1GbE");
  fits.push_back(published_fit("1GbE point-to-point", MessagePattern::point_to_point, 0,
                               pair.at("alpha_s"), pair.at("beta_s_per_byte")));
  add_sparse_all_gathers(json.at("sparse_allgather_1GbE_P102"), fits);
  return fits;
}

ShippedFit shipped_network_fit(const std::string& name) {
  std::vector<std::string> names;
  for (ShippedFit& shipped : shipped_network_fits()) {
    if (shipped.name == name) return shipped;
    names.push_back(shipped.name);
  }
  throw InputError(unknown_name("shipped fit", name, names));
}

ShippedContention shipped_contention() {
  const Json json = published();
  const Json& pair = json.at("point_to_point_1GbE");
  ShippedContention contention;
  contention.name = "1GbE, 20 MiB messages, 1 to 16 at once";
  contention.alpha_s = pair.at("alpha_s");
  contention.beta_s_per_byte = pair.at("beta_s_per_byte");
  for (const Json& ms : json.at("contention").at("one_gbe_20MiB_1to16_jobs_ms"))
    contention.samples.push_back(
        {static_cast<double>(contention.samples.size() + 1), 20 * 0x1p20, ms.get<double>() * 1e-3});
  contention.eta_s_per_byte =
      fit_contention(contention.samples, contention.alpha_s, contention.beta_s_per_byte);
  for (const ContentionSample& s : contention.samples) {
    const double alone = contention.alpha_s + contention.beta_s_per_byte * s.jobs * s.bytes;
    const double eta = contention.eta_s_per_byte * (s.jobs - 1) * s.bytes;
    const auto share = 1.0 / static_cast<double>(contention.samples.size());
    contention.mean_error += share * std::abs((alone + eta) / s.seconds - 1);
    contention.mean_error_without += share * std::abs(alone / s.seconds - 1);
  }
  return contention;
}

}  // namespace paceline
