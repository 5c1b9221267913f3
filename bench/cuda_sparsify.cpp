// Every sparsification kernel on one GPU: time, bytes it must move, share of the copy bandwidth
// measured in the same run; beside them the full radix sort (CUB) and the selection as torch.topk
// made it before 2022.
//   cuda_sparsify [--device 0] [--json file] [--quick]

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <random>

#include "base/error.hpp"
#include "base/json.hpp"
#include "kernels/cuda_module.hpp"

namespace {

using namespace paceline;
using namespace paceline::kernels;

struct Quartiles {
  double p25, median, p75;
};
Quartiles quartiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  return {at(0.25), at(0.5), at(0.75)};
}

struct Options {
  int device = 0;
  std::string json;
  bool quick = false;
};
Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--quick") {
      options.quick = true;
    } else if (word == "--device" && i + 1 < count) {
      options.device = std::atoi(words[++i]);
    } else if (word == "--json" && i + 1 < count) {
      options.json = words[++i];
    } else {
      throw InputError("unknown option '" + word +
                       "'; usage: cuda_sparsify [--device N] [--json FILE] [--quick]");
    }
  }
  return options;
}

/// One set of a vector's buffers; the timed work rotates over several, more than the L2 together.
struct Buffers {
  Buffers(CudaBackend& gpu, const std::vector<float>& noise, std::size_t n, std::size_t most)
      : gradient(gpu, n),
        residual(gpu, n),
        third(gpu, n),
        indices(gpu, most),
        values(gpu, most),
        codes(gpu, two_bit_words(n)),
        half(gpu, n) {
    for (Array<float>* array : {&gradient, &residual, &third}) {
      gpu.copy_from_host(array->data(), noise.data(), n * sizeof(float));
    }
    gpu.scale(0.5, residual);
  }
  SparseOutput out(std::size_t k) const {
    return {indices.span().first(k), values.span().first(k)};
  }
  SparseView view(std::size_t k) const { return {indices.span().first(k), values.span().first(k)}; }

  Array<float> gradient, residual, third;
  Array<std::int32_t> indices;
  Array<float> values;
  Array<std::uint32_t> codes;
  Array<std::uint16_t> half;
};

class Table {
 public:
  Table(CudaBackend& gpu, const Options& options) : gpu_(gpu), options_(options) {}

  void header() {
    copy_bandwidth_ = gpu_.measure_ceilings().copy_bandwidth;
    fmt::print("{}\ncopy bandwidth (read + written): {:.0f} GB/s\n\n", gpu_.description(),
               copy_bandwidth_ * 1e-9);
    fmt::print("{:<24} {:>10} {:>9} {:>12} {:>12} {:>9} {:>7}\n", "kernel", "n", "k", "median us",
               "IQR us", "GB/s", "copy %");
  }

  /// `bytes`: the least that the operation must move. Events around work that waits for the host
  /// count that wait.
  void row(const std::string& name, std::size_t n, std::size_t k, double bytes, int buffers,
           const std::function<void(int)>& work, bool capturable = true) {
    std::vector<double> seconds;
    int dropped = 0;
    if (capturable) {
      ReplayOptions options;
      options.buffers = buffers;
      options.samples = options_.quick ? 10 : 30;
      options.limit_seconds = options_.quick ? 2 : 8;
      const ReplaySamples samples = gpu_.time_replays(options, work);
      seconds = samples.seconds;
      dropped = samples.dropped;
    } else {
      for (int i = 0; i < (options_.quick ? 5 : 20); ++i) {
        const double t = gpu_.measure([&] { work(i % buffers); });
        if (i >= 2) seconds.push_back(t);
      }
    }
    const Quartiles q = quartiles(seconds);
    const double rate = bytes / q.median;
    fmt::print("{:<24} {:>10} {:>9} {:>12.2f} {:>12.2f} {:>9.0f} {:>7.1f}\n", name, n, k,
               q.median * 1e6, (q.p75 - q.p25) * 1e6, rate * 1e-9, 100 * rate / copy_bandwidth_);
    std::fflush(stdout);
    rows_.push_back({{"kernel", name},
                     {"n", n},
                     {"k", k},
                     {"seconds", q.median},
                     {"p25", q.p25},
                     {"p75", q.p75},
                     {"samples", seconds.size()},
                     {"dropped", dropped},
                     {"least_bytes", bytes},
                     {"bytes_per_second", rate},
                     {"share_of_copy", rate / copy_bandwidth_},
                     {"timed", capturable ? "graph" : "events"}});
  }

  void measure(std::size_t n, std::size_t k, bool dense_rows) {
    const double size = static_cast<double>(n);
    const double sent = 8.0 * static_cast<double>(k);
    std::mt19937 engine(1);
    std::normal_distribution<float> draw;
    std::vector<float> noise(n);
    for (float& x : noise) x = draw(engine);
    const double set = size * 12;
    const auto l2 = static_cast<double>(gpu_.device().l2_bytes);
    const double room = static_cast<double>(gpu_.device().memory_bytes) / 4;
    const int count = std::max(
        1, static_cast<int>(std::min({64.0, std::ceil(2 * l2 / set) + 1, room / (2 * set)})));
    std::vector<std::unique_ptr<Buffers>> sets;
    for (int i = 0; i < count; ++i)
      sets.push_back(std::make_unique<Buffers>(gpu_, noise, n, std::max<std::size_t>(k, 1)));
    const auto at = [&](int b) -> Buffers& { return *sets[static_cast<std::size_t>(b)]; };

    row("error_feedback_top_k", n, k, 12 * size + sent, count, [&](int b) {
      gpu_.error_feedback_top_k(0.1, at(b).gradient, at(b).residual, at(b).out(k));
    });
    row("top_k", n, k, 4 * size + sent, count,
        [&](int b) { gpu_.top_k(at(b).gradient, at(b).out(k)); });
    row("axpy+top_k+clear", n, k, 12 * size + sent, count, [&](int b) {
      gpu_.axpy(0.1, at(b).gradient, at(b).residual);
      gpu_.top_k(at(b).residual, at(b).out(k));
      gpu_.clear_at(at(b).out(k).indices, at(b).residual);
    });
    row("momentum_top_k", n, k, 20 * size + sent, count, [&](int b) {
      gpu_.momentum_top_k(0.9, at(b).gradient, at(b).third, at(b).residual, at(b).out(k));
    });
    row("sort_top_k (CUB)", n, k, 4 * size + sent, count,
        [&](int b) { gpu_.sort_top_k(at(b).gradient, at(b).out(k)); });
    row(
        "legacy_top_k", n, k, 4 * size + sent, 1,
        [&](int b) { gpu_.legacy_top_k(at(b).gradient, at(b).out(k)); }, false);
    for (const std::size_t workers : {std::size_t{4}, std::size_t{16}}) {
      std::vector<SparseView> views;
      for (std::size_t p = 0; p < workers; ++p)
        views.push_back(at(static_cast<int>(p) % count).view(k));
      row(fmt::format("scatter_fresh P={}", workers), n, k,
          4 * size + static_cast<double>(workers) * sent, count, [&](int b) {
            gpu_.scatter_fresh(views, 1.0 / static_cast<double>(workers), at(b).third);
          });
    }
    row(
        "sampled_threshold 1%", n, k, 0.04 * size, count,
        [&](int b) {
          gpu_.sampled_threshold(at(b).gradient, static_cast<std::int64_t>(k), 100, 1);
        },
        false);
    row(
        "gaussian_threshold", n, k, 4 * size, count,
        [&](int b) { gpu_.gaussian_threshold(at(b).gradient, static_cast<std::int64_t>(k)); },
        false);
    const float threshold = gpu_.gaussian_threshold(at(0).gradient, static_cast<std::int64_t>(k));
    row(
        "select_reaching", n, k, 4 * size + sent, count,
        [&](int b) { gpu_.select_reaching(at(b).gradient, threshold, at(b).out(k)); }, false);
    if (!dense_rows) return;
    row("two_bit_quantize", n, 0, 12.25 * size, count,
        [&](int b) { gpu_.two_bit_quantize(0.5, at(b).gradient, at(b).residual, at(b).codes); });
    row("two_bit_dequantize", n, 0, 4.25 * size, count,
        [&](int b) { gpu_.two_bit_dequantize(0.5, at(b).codes, at(b).third); });
    row(
        "sign_quantize", n, 0, 20.125 * size, count,
        [&](int b) { gpu_.sign_quantize(at(b).gradient, at(b).residual, at(b).codes); }, false);
    row("pack_fp16", n, 0, 6 * size, count,
        [&](int b) { gpu_.pack_fp16(at(b).gradient, at(b).half); });
    row("unpack_fp16", n, 0, 6 * size, count,
        [&](int b) { gpu_.unpack_fp16(at(b).half, at(b).third); });
    row("sgd_step momentum", n, 0, 20 * size, count, [&](int b) {
      gpu_.sgd_step({1e-6, 0.9, 1e-4, false}, at(b).gradient, at(b).third, at(b).residual);
    });
    row("axpy", n, 0, 12 * size, count,
        [&](int b) { gpu_.axpy(1e-6, at(b).gradient, at(b).residual); });
    row("add_progress", n, 0, 16 * size, count,
        [&](int b) { gpu_.add_progress(at(b).gradient, at(b).third, at(b).residual); });
    row("delay_compensate", n, 0, 16 * size, count, [&](int b) {
      gpu_.delay_compensate(0.04, at(b).gradient, at(b).third, at(b).residual, at(b).third);
    });
  }

  void save() const {
    if (options_.json.empty()) return;
    const CudaDeviceInfo& d = gpu_.device();
    const CudaClocks clocks = gpu_.clocks();
    save_json(options_.json, {{"device", d.name},
                              {"uuid", d.uuid},
                              {"driver", d.driver},
                              {"cuda", d.cuda_runtime},
                              {"multiprocessors", d.multiprocessors},
                              {"l2_bytes", d.l2_bytes},
                              {"sm_mhz_after", clocks.sm_mhz},
                              {"celsius_after", clocks.celsius},
                              {"copy_bandwidth", copy_bandwidth_},
                              {"rows", rows_}});
  }

 private:
  CudaBackend& gpu_;
  const Options& options_;
  double copy_bandwidth_ = 0;
  Json rows_ = Json::array();
};

}  // namespace

int main(int count, char** words) {
  try {
    const Options options = parse(count, words);
    const auto gpu = load_cuda_backend(options.device);
    Table table(*gpu, options);
    table.header();
    const std::vector<std::size_t> sizes =
        options.quick ? std::vector<std::size_t>{1u << 20, 25'600'000}
                      : std::vector<std::size_t>{10'000,    100'000,    1u << 20,
                                                 8'000'000, 25'600'000, 100'000'000};
    for (const std::size_t n : sizes) {
      bool dense_rows = true;
      for (const std::size_t parts : {1000u, 100u, 10000u}) {
        if (n / parts == 0 || (options.quick && parts != 1000)) continue;
        table.measure(n, n / parts, dense_rows);
        dense_rows = false;
      }
    }
    table.save();
    return 0;
  } catch (const InputError& error) {
    std::cerr << "cuda_sparsify: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "cuda_sparsify: " << error.what() << '\n';
    return 1;
  }
}
