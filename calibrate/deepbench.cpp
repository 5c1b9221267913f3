#include "calibrate/deepbench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <stdexcept>

#include "calibrate/csv.hpp"
#include "calibrate/shipped.hpp"

namespace paceline {
namespace {

using Points = std::vector<DeepBenchPoint>;

const std::vector<std::string> kConvSizes{"W", "H",  "C",  "N",  "K", "R",
                                          "S", "ph", "pw", "sh", "sw"};
const std::vector<std::string> kGemmSizes{"M", "N", "K", "ta", "tb"};
const std::vector<std::string> kRnnSizes{"kind", "hidden", "N", "T"};

std::string key_of(const CsvTable& table, std::size_t row, const std::vector<std::string>& sizes) {
  std::string key;
  for (const std::string& size : sizes) key += table.text(row, size) + ' ';
  return key;
}

constexpr double kBytesPerElement = 4;
struct Pass {
  const char* column;
  const char* name;
};
constexpr std::array<Pass, 3> kPasses{
    {{"fwd", "forward"}, {"bwd_in", "backward data"}, {"bwd_par", "backward weight"}}};

void add_convolutions(const CsvTable& table, std::string_view gpu, Points& points) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, "gpu") != gpu) continue;
    const auto at = [&](std::string_view column) { return table.number(row, column); };
    const double out_w = std::floor((at("W") + 2 * at("pw") - at("S")) / at("sw")) + 1;
    const double out_h = std::floor((at("H") + 2 * at("ph") - at("R")) / at("sh")) + 1;
    const double filter = at("C") * at("R") * at("S");
    const double outputs = at("N") * at("K") * out_h * out_w;
    const double elements = at("N") * at("C") * at("H") * at("W") + outputs + at("K") * filter;
    const std::string kind =
        convolution_class(static_cast<std::int64_t>(at("R")), static_cast<std::int64_t>(at("S")));
    for (const Pass& pass : kPasses)
      if (table.is_number(row, pass.column))
        points.push_back({kind + ' ' + pass.name, key_of(table, row, kConvSizes),
                          2 * outputs * filter, kBytesPerElement * elements, 1,
                          at(pass.column) * 1e-3, kind == "conv 3x3"});
  }
}

void add_matrix_products(const CsvTable& table, std::string_view gpu, Points& points) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, "gpu") != gpu || !table.is_number(row, "ms")) continue;
    const double m = table.number(row, "M"), n = table.number(row, "N"), k = table.number(row, "K");
    points.push_back({"gemm", key_of(table, row, kGemmSizes), 2 * m * n * k,
                      kBytesPerElement * (m * n + m * k + n * k), 1, table.number(row, "ms") * 1e-3,
                      false});
  }
}

void add_recurrent_layers(const CsvTable& table, std::string_view gpu, Points& points) {
  static const std::map<std::string, double> gates{{"Vanilla", 1}, {"GRU", 3}, {"LSTM", 4}};
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, "gpu") != gpu) continue;
    const double hidden = table.number(row, "hidden"), batch = table.number(row, "N");
    const double steps = table.number(row, "T");
    // Input and recurrent matrix, both hidden x hidden per gate.
    const double gate_count = gates.at(table.text(row, "kind"));
    const double weights = 2 * gate_count * hidden * hidden;
    for (const Pass& pass : kPasses)
      if (table.is_number(row, pass.column))
        points.push_back({std::string("rnn ") + pass.name, key_of(table, row, kRnnSizes),
                          2 * batch * weights * steps,
                          recurrent_bytes(gate_count, hidden, hidden, batch, steps), steps,
                          table.number(row, pass.column) * 1e-3, false});
  }
}

DeepBenchTable table_of(std::string_view gpu, const CsvTable& conv, const CsvTable& gemm,
                        const CsvTable& rnn) {
  DeepBenchTable table{std::string(gpu), {}, 0};
  add_convolutions(conv, gpu, table.points);
  add_matrix_products(gemm, gpu, table.points);
  add_recurrent_layers(rnn, gpu, table.points);
  for (const DeepBenchPoint& point : table.points)
    if (point.law == "gemm")
      table.sgemm_flops = std::max(table.sgemm_flops, point.flops / point.seconds);
  return table;
}

}  // namespace

std::string convolution_class(std::int64_t kernel_height, std::int64_t kernel_width) {
  if (kernel_height == 1 && kernel_width == 1) return "conv 1x1";
  return kernel_height == 3 && kernel_width == 3 ? "conv 3x3" : "conv other";
}

double recurrent_bytes(double gates, double hidden, double inputs, double batch, double steps) {
  const double weights = gates * hidden * (inputs + hidden);
  return kBytesPerElement * (weights + batch * (inputs + hidden)) * steps;
}

std::string_view shipped_data(std::string_view name) {
  const auto& texts = shipped_data_texts();
  const auto found = texts.find(std::string(name));
  if (found == texts.end()) throw std::logic_error(fmt::format("'{}' is not embedded", name));
  return found->second;
}

DeepBenchTable read_deepbench(const std::filesystem::path& folder, std::string_view gpu) {
  const CsvTable conv(folder / "conv.csv"), gemm(folder / "gemm.csv"), rnn(folder / "rnn.csv");
  return table_of(gpu, conv, gemm, rnn);
}

DeepBenchTable shipped_deepbench(std::string_view gpu) {
  const auto shipped = [](const char* name) {
    return CsvTable(shipped_data(name), fmt::format("shipped {}", name));
  };
  return table_of(gpu, shipped("deepbench/conv.csv"), shipped("deepbench/gemm.csv"),
                  shipped("deepbench/rnn.csv"));
}

}  // namespace paceline
