#include "calibrate/analytic/deepbench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <stdexcept>

#include "base/csv.hpp"
#include "calibrate/profile/shipped.hpp"

namespace paceline {
namespace {

using Points = std::vector<DeepBenchPoint>;

const std::vector<std::string> kConvSizes{"W", "H",  "C",  "N",  "K", "R",
                                          "S", "ph", "pw", "sh", "sw"};
const std::vector<std::string> kGemmSizes{"M", "N", "K", "ta", "tb"};
const std::vector<std::string> kRnnSizes{"kind", "hidden", "N", "T"};

std::string key_of(const CsvTable& table, std::size_t row, const std::vector<std::string>& sizes) {
  std::string key;
  for (const std::string& size : sizes) key += (key.empty() ? "" : " ") + table.text(row, size);
  return key;
}

std::int64_t whole(const CsvTable& table, std::size_t row, std::string_view column) {
  return static_cast<std::int64_t>(table.number(row, column));
}

constexpr double kBytesPerElement = 4;
struct Pass {
  const char* column;
  const char* name;
  LayerPass pass;
};
constexpr std::array<Pass, 3> kPasses{{{"fwd", "forward", LayerPass::forward},
                                       {"bwd_in", "backward data", LayerPass::backward_data},
                                       {"bwd_par", "backward weight", LayerPass::backward_weight}}};

// A row of one of the tables: its kernels, all but how long they take.
using Kernels = std::vector<std::pair<const char*, DeepBenchKernel>>;  // by column of the time

Kernels convolution(const CsvTable& table, std::size_t row) {
  const auto at = [&](std::string_view column) { return table.number(row, column); };
  const double out_w = std::floor((at("W") + 2 * at("pw") - at("S")) / at("sw")) + 1;
  const double out_h = std::floor((at("H") + 2 * at("ph") - at("R")) / at("sh")) + 1;
  const double filter = at("C") * at("R") * at("S");
  const double outputs = at("N") * at("K") * out_h * out_w;
  const double elements = at("N") * at("C") * at("H") * at("W") + outputs + at("K") * filter;
  const auto n = [&](std::string_view column) { return whole(table, row, column); };
  const std::string kind = convolution_class(n("R"), n("S"));
  const kernels::Conv2dShape shape{
      .input = {n("N"), n("C"), n("H"), n("W")},
      .channels = n("K"),
      .window = {n("R"), n("S"), n("sh"), n("sw"), n("ph"), n("pw")},
  };
  Kernels kernels;
  for (const Pass& pass : kPasses)
    kernels.push_back(
        {pass.column,
         {{kind + ' ' + pass.name, key_of(table, row, kConvSizes), 2 * outputs * filter,
           kBytesPerElement * elements, 1, 0, kind == "conv 3x3"},
          shape,
          pass.pass}});
  return kernels;
}

// Column-major, C [M, N] = A [M, K] B [K, N]: of a dense layer the forward pass has A transposed,
// its input gradient nothing and its weight gradient B.
Kernels matrix_product(const CsvTable& table, std::size_t row) {
  const double m = table.number(row, "M"), n = table.number(row, "N"), k = table.number(row, "K");
  const std::int64_t rows = whole(table, row, "N"), left = whole(table, row, "M"),
                     inner = whole(table, row, "K");
  const bool left_turned = table.text(row, "ta") == "T",
             right_turned = table.text(row, "tb") == "T";
  DeepBenchKernel kernel{{"gemm", key_of(table, row, kGemmSizes), 2 * m * n * k,
                          kBytesPerElement * (m * n + m * k + n * k), 1, 0, false},
                         {},
                         LayerPass::forward};
  if (left_turned) {
    kernel.shape = kernels::DenseShape{rows, inner, left, false};
  } else if (!right_turned) {
    kernel.shape = kernels::DenseShape{rows, left, inner, false};
    kernel.pass = LayerPass::backward_data;
  } else {
    kernel.shape = kernels::DenseShape{inner, left, rows, false};
    kernel.pass = LayerPass::backward_weight;
  }
  return {{"ms", kernel}};
}

Kernels recurrent_layer(const CsvTable& table, std::size_t row) {
  static const std::map<std::string, double> gates{{"Vanilla", 1}, {"GRU", 3}, {"LSTM", 4}};
  const double hidden = table.number(row, "hidden"), batch = table.number(row, "N");
  const double steps = table.number(row, "T");
  // Input and recurrent matrix, both hidden x hidden per gate.
  const double gate_count = gates.at(table.text(row, "kind"));
  const double weights = 2 * gate_count * hidden * hidden;
  std::optional<kernels::LayerShape> shape;
  const std::int64_t units = whole(table, row, "hidden");
  if (gate_count == 4)
    shape = kernels::LstmShape{whole(table, row, "N"), whole(table, row, "T"), units, units};
  Kernels kernels;
  for (const Pass& pass : kPasses)
    kernels.push_back(
        {pass.column,
         {{std::string("rnn ") + pass.name, key_of(table, row, kRnnSizes),
           2 * batch * weights * steps, recurrent_bytes(gate_count, hidden, hidden, batch, steps),
           steps, 0, false},
          shape,
          pass.pass}});
  return kernels;
}

void add(const CsvTable& table, std::string_view gpu,
         Kernels (*kernels_of)(const CsvTable&, std::size_t), Points& points) {
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.text(row, "gpu") != gpu) continue;
    for (auto& [column, kernel] : kernels_of(table, row)) {
      if (!table.is_number(row, column)) continue;
      points.push_back(kernel.point);
      points.back().seconds = table.number(row, column) * 1e-3;
    }
  }
}

DeepBenchTable table_of(std::string_view gpu, const CsvTable& conv, const CsvTable& gemm,
                        const CsvTable& rnn) {
  DeepBenchTable table{std::string(gpu), {}, 0};
  add(conv, gpu, convolution, table.points);
  add(gemm, gpu, matrix_product, table.points);
  add(rnn, gpu, recurrent_layer, table.points);
  for (const DeepBenchPoint& point : table.points)
    if (point.law == "gemm")
      table.sgemm_flops = std::max(table.sgemm_flops, point.flops / point.seconds);
  return table;
}

CsvTable shipped(const char* name) {
  return {shipped_data(fmt::format("deepbench/{}.csv", name)), fmt::format("shipped {}.csv", name)};
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
  return table_of(gpu, shipped("conv"), shipped("gemm"), shipped("rnn"));
}

std::vector<DeepBenchKernel> deepbench_kernels() {
  std::vector<DeepBenchKernel> kernels;
  std::set<std::pair<std::string, std::string>> seen;
  const auto take = [&](const CsvTable& table,
                        Kernels (*kernels_of)(const CsvTable&, std::size_t)) {
    for (std::size_t row = 0; row < table.rows(); ++row)
      for (auto& [column, kernel] : kernels_of(table, row))
        if (kernel.shape && seen.insert({kernel.point.law, kernel.point.key}).second)
          kernels.push_back(kernel);
  };
  take(shipped("conv"), convolution);
  take(shipped("gemm"), matrix_product);
  take(shipped("rnn"), recurrent_layer);
  std::stable_sort(kernels.begin(), kernels.end(),
                   [](const auto& a, const auto& b) { return a.point.flops < b.point.flops; });
  return kernels;
}

}  // namespace paceline
