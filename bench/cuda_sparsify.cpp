// Every sparsification kernel on one GPU: time, bytes it must move, share of the copy bandwidth
// measured in the same run; beside them the full radix sort (CUB) and the selection as torch.topk
// made it before 2022.
//   cuda_sparsify [--device 0] [--json file] [--quick] [--sizes n,n,...] [--seconds per row]

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iostream>
#include <optional>
#include <random>
#include <sstream>

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
  /// Those that decide come first: a run that is cut off has them.
  std::vector<std::size_t> sizes;
  double seconds = 0.4;  ///< of warm-up and of sampling per row, at most each
};
constexpr const char* kUsage =
    "; usage: cuda_sparsify [--device N] [--json FILE] [--quick] [--sizes N,N,...] [--seconds S]";

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--quick") {
      options.quick = true;
      continue;
    }
    if (i + 1 >= count) throw InputError("'" + word + "' is no option, or lacks a value" + kUsage);
    const std::string value = words[++i];
    if (word == "--device") {
      options.device = std::atoi(value.c_str());
    } else if (word == "--json") {
      options.json = value;
    } else if (word == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (word == "--sizes") {
      std::istringstream list(value);
      for (std::string n; std::getline(list, n, ',');)
        options.sizes.push_back(std::strtoull(n.c_str(), nullptr, 10));
      if (std::count(options.sizes.begin(), options.sizes.end(), std::size_t{0}) > 0)
        throw InputError("--sizes: '" + value + "' is no list of whole numbers above 0" + kUsage);
    } else {
      throw InputError("unknown option '" + word + "'" + kUsage);
    }
  }
  if (options.sizes.empty()) {
    options.sizes = {25'600'000, 1u << 20};
    if (!options.quick)
      options.sizes.insert(options.sizes.end(), {100'000'000, 8'000'000, 100'000, 10'000});
  }
  return options;
}

/// One set of a vector's buffers; the timed work rotates over several, more than the L2 together.
struct Buffers {
  Buffers(CudaBackend& gpu, const float* noise, std::size_t n, std::size_t most)
      : gradient(gpu, n),
        residual(gpu, n),
        third(gpu, n),
        fourth(gpu, n),
        indices(gpu, most),
        values(gpu, most),
        merged_indices(gpu, most),
        merged_values(gpu, most),
        codes(gpu, two_bit_words(n)),
        half(gpu, n) {
    for (Array<float>* array : {&gradient, &residual, &third, &fourth}) {
      gpu.copy_from_host(array->data(), noise, n * sizeof(float));
    }
    gpu.apply(Scale{0.5}, {residual}, {residual});
  }
  SparseOutput out(std::size_t k) const {
    return {indices.span().first(k), values.span().first(k)};
  }
  SparseOutput merged(std::size_t k) const {
    return {merged_indices.span().first(k), merged_values.span().first(k)};
  }
  SparseView view(std::size_t k) const { return {indices.span().first(k), values.span().first(k)}; }

  Array<float> gradient, residual, third, fourth;
  Array<std::int32_t> indices;
  Array<float> values;
  Array<std::int32_t> merged_indices;
  Array<float> merged_values;
  Array<std::uint32_t> codes;
  Array<std::uint16_t> half;
};

/// The sets of one size, each of other numbers.
class Sets {
 public:
  /// As many as a kernel that touches only 4 bytes per element needs to find nothing in the L2,
  /// `most` of them or a quarter of the memory at most.
  Sets(CudaBackend& gpu, std::size_t n, std::size_t entries) {
    constexpr std::size_t shift = 61, spread = 4096;
    std::mt19937 engine(1);
    std::normal_distribution<float> draw;
    std::vector<float> noise(n + spread);
    for (float& x : noise) x = draw(engine);
    const double bytes = 18.5 * static_cast<double>(n) + 16 * static_cast<double>(entries);
    const double room = static_cast<double>(gpu.device().memory_bytes) / 4 / bytes;
    l2_ = static_cast<double>(gpu.device().l2_bytes);
    const int count = std::max(
        1, std::min(needed(4 * static_cast<double>(n)), static_cast<int>(std::min(room, 1e6))));
    for (int i = 0; i < count; ++i) {
      const std::size_t first = static_cast<std::size_t>(i) * shift % spread;
      sets_.push_back(std::make_unique<Buffers>(gpu, noise.data() + first, n, entries));
    }
  }
  [[nodiscard]] int count() const { return static_cast<int>(sets_.size()); }
  [[nodiscard]] Buffers& at(int b) const { return *sets_[static_cast<std::size_t>(b)]; }
  /// To rotate over for a kernel that touches so many bytes of each: more than twice the L2.
  [[nodiscard]] int rotation(double touched) const { return std::min(count(), needed(touched)); }
  /// Whether the L2 still holds what the kernel finds.
  [[nodiscard]] bool cached(double touched) const { return rotation(touched) * touched <= 2 * l2_; }

 private:
  [[nodiscard]] int needed(double touched) const {
    constexpr double most = 1024;
    return static_cast<int>(std::min(most, std::ceil(2 * l2_ / touched) + 1));
  }
  std::vector<std::unique_ptr<Buffers>> sets_;
  double l2_ = 0;
};

/// What one row times.
struct Work {
  std::string name;
  std::size_t k = 0;
  double least_bytes = 0;  ///< that the operation must move
  double touched = 0;      ///< bytes of one set that it reads or writes, however often
  std::function<void(int)> run;
  /// Returns a value, so waits for the host: timed by events, which count that wait.
  bool waits = false;
  /// Top-k with error feedback, whose usual floor is 16 bytes per element.
  bool floor_of_16 = false;
};

class Table {
 public:
  Table(CudaBackend& gpu, const Options& options) : gpu_(gpu), options_(options) {}

  void header() {
    copy_bandwidth_ = gpu_.measure_ceilings().copy_bandwidth;
    fmt::print("{}\ncopy bandwidth (read + written): {:.0f} GB/s\n", gpu_.description(),
               copy_bandwidth_ * 1e-9);
    fmt::print(
        "copy %: least bytes per second of the copy bandwidth; 16n %: the same at 16 bytes per "
        "element; from: L2 where all sets fit it\n\n");
    fmt::print("{:<22} {:>10} {:>8} {:>11} {:>10} {:>8} {:>7} {:>7} {:>7}\n", "kernel", "n", "k",
               "median us", "IQR us", "GB/s", "copy %", "16n %", "from");
  }

  void measure(std::size_t n) {
    std::vector<std::size_t> counts;
    for (const std::size_t parts : {1000u, 100u, 10000u}) {
      if (n / parts > 0 && (counts.empty() || !options_.quick)) counts.push_back(n / parts);
    }
    const Sets sets(gpu_, n, std::max<std::size_t>(n / 100, 1));
    for (const std::size_t k : counts) {
      selections(sets, n, k);
      thresholds(sets, n, k);
      sparse_sums(sets, n, k);
    }
    quantisers(sets, n);
    dense(sets, n);
    save();  // what is measured is kept, whatever comes
  }

 private:
  void row(const Sets& sets, std::size_t n, const Work& work) {
    const int buffers = sets.rotation(work.touched);
    std::vector<double> seconds;
    int dropped = 0;
    if (!work.waits) {
      ReplayOptions options;
      options.buffers = buffers;
      options.samples = options_.quick ? 10 : 30;
      options.warm_up_seconds = options.limit_seconds = options_.seconds;
      const ReplaySamples samples = gpu_.time_replays(options, work.run);
      seconds = samples.seconds;
      dropped = samples.dropped;
    } else {
      for (int i = 0; i < (options_.quick ? 5 : 20); ++i) {
        const double t = gpu_.measure([&] { work.run(i % buffers); });
        if (i >= 2) seconds.push_back(t);
      }
    }
    const Quartiles q = quartiles(seconds);
    const double rate = work.least_bytes / q.median;
    std::optional<double> at_16n;
    if (work.floor_of_16) at_16n = 16 * static_cast<double>(n) / q.median / copy_bandwidth_;
    const char* from = sets.cached(work.touched) ? "L2" : "memory";
    fmt::print("{:<22} {:>10} {:>8} {:>11.2f} {:>10.2f} {:>8.0f} {:>7.1f} {:>7} {:>7}\n", work.name,
               n, work.k, q.median * 1e6, (q.p75 - q.p25) * 1e6, rate * 1e-9,
               100 * rate / copy_bandwidth_, at_16n ? fmt::format("{:.1f}", 100 * *at_16n) : "-",
               from);
    std::fflush(stdout);
    rows_.push_back({{"kernel", work.name},
                     {"n", n},
                     {"k", work.k},
                     {"seconds", q.median},
                     {"p25", q.p25},
                     {"p75", q.p75},
                     {"samples", seconds.size()},
                     {"dropped", dropped},
                     {"least_bytes", work.least_bytes},
                     {"bytes_per_second", rate},
                     {"share_of_copy", rate / copy_bandwidth_},
                     {"share_at_16n", at_16n ? Json(*at_16n) : Json()},
                     {"buffers", buffers},
                     {"from", from},
                     {"timed", work.waits ? "events" : "graph"}});
  }

  void selections(const Sets& sets, std::size_t n, std::size_t k) {
    const double size = static_cast<double>(n);
    const double sent = 8.0 * static_cast<double>(k);
    row(sets, n,
        {"error_feedback_top_k", k, 12 * size + sent, 8 * size,
         [&](int b) {
           Buffers& s = sets.at(b);
           gpu_.error_feedback_top_k(0.1, s.gradient, s.residual, s.out(k));
         },
         false, true});
    row(sets, n,
        {"axpy+top_k+clear", k, 12 * size + sent, 8 * size,
         [&](int b) {
           Buffers& s = sets.at(b);
           gpu_.axpy(0.1, s.gradient, s.residual);
           gpu_.top_k(s.residual, s.out(k));
           gpu_.clear_at(s.out(k).indices, s.residual);
         },
         false, true});
    row(sets, n, {"momentum_top_k", k, 20 * size + sent, 12 * size, [&](int b) {
                    Buffers& s = sets.at(b);
                    gpu_.momentum_top_k(0.9, s.gradient, s.third, s.residual, s.out(k));
                  }});
    row(sets, n, {"top_k", k, 4 * size + sent, 4 * size, [&](int b) {
                    gpu_.top_k(sets.at(b).gradient, sets.at(b).out(k));
                  }});
    row(sets, n, {"sort_top_k (CUB)", k, 4 * size + sent, 4 * size, [&](int b) {
                    gpu_.sort_top_k(sets.at(b).gradient, sets.at(b).out(k));
                  }});
    // One multiprocessor sets its pace: it would take most of the time for the largest vectors.
    if (n > 10'000'000) return;
    row(sets, n,
        {"legacy_top_k", k, 4 * size + sent, 4 * size,
         [&](int b) { gpu_.legacy_top_k(sets.at(b).gradient, sets.at(b).out(k)); }, true});
  }

  void thresholds(const Sets& sets, std::size_t n, std::size_t k) {
    const double size = static_cast<double>(n);
    const auto wanted = static_cast<std::int64_t>(k);
    row(sets, n,
        {"sampled_threshold 1%", k, 0.04 * size, 0.32 * size,
         [&, wanted](int b) { gpu_.sampled_threshold(sets.at(b).gradient, wanted, 100, 1); },
         true});
    row(sets, n,
        {"gaussian_threshold", k, 4 * size, 4 * size,
         [&, wanted](int b) { gpu_.gaussian_threshold(sets.at(b).gradient, wanted); }, true});
    const float threshold = gpu_.gaussian_threshold(sets.at(0).gradient, wanted);
    row(sets, n,
        {"count_reaching", k, 4 * size, 4 * size,
         [&, threshold](int b) { gpu_.count_reaching(sets.at(b).gradient, threshold); }, true});
    row(sets, n,
        {"select_reaching", k, 4 * size + 8 * static_cast<double>(k), 4 * size,
         [&, threshold](int b) {
           gpu_.select_reaching(sets.at(b).gradient, threshold, sets.at(b).out(k));
         },
         true});
  }

  void sparse_sums(const Sets& sets, std::size_t n, std::size_t k) {
    const double size = static_cast<double>(n);
    const double sent = 8.0 * static_cast<double>(k);
    // Sums take indices in order; other selections above leave theirs by magnitude.
    for (int b = 0; b < sets.count(); ++b) gpu_.top_k(sets.at(b).gradient, sets.at(b).out(k));
    for (const int workers : {4, 16}) {
      std::vector<std::vector<SparseView>> views(static_cast<std::size_t>(sets.count()));
      for (int b = 0; b < sets.count(); ++b) {
        for (int p = 0; p < workers; ++p)
          views[static_cast<std::size_t>(b)].push_back(sets.at((b + p) % sets.count()).view(k));
      }
      const double factor = 1.0 / workers, all = workers * sent;
      row(sets, n,
          {fmt::format("scatter_fresh P={}", workers), k, 4 * size + all, 4 * size + sent,
           [&](int b) {
             gpu_.scatter_fresh(views[static_cast<std::size_t>(b)], factor, sets.at(b).third);
           }});
      // Reads and writes what it adds to, at most all of the sum.
      const double sum = std::min(8 * size, all);
      row(sets, n,
          {fmt::format("scatter_add P={}", workers), k, sum + all, sum / 2 + sent, [&](int b) {
             gpu_.scatter_add(views[static_cast<std::size_t>(b)], factor, sets.at(b).third);
           }});
    }
    row(sets, n,
        {"merge_top_k", k, 3 * sent, 2 * sent,
         [&](int b) {
           gpu_.merge_top_k(sets.at(b).view(k), sets.at((b + 1) % sets.count()).view(k),
                            sets.at(b).merged(k));
         },
         true});
    row(sets, n, {"clear_at", k, sent, sent, [&](int b) {
                    gpu_.clear_at(sets.at(b).out(k).indices, sets.at(b).third);
                  }});
  }

  void quantisers(const Sets& sets, std::size_t n) {
    const double size = static_cast<double>(n);
    row(sets, n, {"two_bit_quantize", 0, 12.25 * size, 8.25 * size, [&](int b) {
                    Buffers& s = sets.at(b);
                    gpu_.two_bit_quantize(0.5, s.gradient, s.residual, s.codes);
                  }});
    row(sets, n, {"two_bit_dequantize", 0, 4.25 * size, 4.25 * size, [&](int b) {
                    gpu_.two_bit_dequantize(0.5, sets.at(b).codes, sets.at(b).third);
                  }});
    row(sets, n,
        {"sign_quantize", 0, 20.125 * size, 8.125 * size,
         [&](int b) {
           Buffers& s = sets.at(b);
           gpu_.sign_quantize(s.gradient, s.residual, s.codes.span().first(sign_words(n)));
         },
         true});
    row(sets, n, {"sign_dequantize", 0, 4.125 * size, 4.125 * size, [&](int b) {
                    Buffers& s = sets.at(b);
                    gpu_.sign_dequantize(0.5f, s.codes.span().first(sign_words(n)), s.third);
                  }});
    row(sets, n, {"pack_fp16", 0, 6 * size, 6 * size, [&](int b) {
                    gpu_.pack_fp16(sets.at(b).gradient, sets.at(b).half);
                  }});
    row(sets, n, {"unpack_fp16", 0, 6 * size, 6 * size, [&](int b) {
                    gpu_.unpack_fp16(sets.at(b).half, sets.at(b).third);
                  }});
  }

  void dense(const Sets& sets, std::size_t n) {
    const double size = static_cast<double>(n);
    for (std::size_t i = 0; i < kPointwiseCount; ++i) {
      const OperationInfo& info = kPointwiseInfo[i];
      row(sets, n,
          {std::string(info.name), 0, info.least_bytes(size),
           4 * size * static_cast<double>(info.reads.size()), [this, &sets, i](int b) {
             const Buffers& s = sets.at(b);
             const std::span<float> vectors[] = {s.gradient, s.third, s.fourth, s.residual};
             reference::apply_example(gpu_, i, vectors);
           }});
    }
    row(sets, n,
        {"clip_norm", 0, 4 * size, 4 * size,
         [&](int b) { gpu_.clip_norm(1e30, sets.at(b).gradient); }, true});
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
    for (const std::size_t n : options.sizes) table.measure(n);
    return 0;
  } catch (const InputError& error) {
    std::cerr << "cuda_sparsify: " << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "cuda_sparsify: " << error.what() << '\n';
    return 1;
  }
}
