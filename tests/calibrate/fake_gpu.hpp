#pragma once

#include <algorithm>
#include <ctime>
#include <utility>

#include "kernels/cuda_module.hpp"

namespace paceline::kernels {

/// A CPU backend that says it is a GPU: the calibrator's way through graphs, pieces, copies and
/// ceilings on a machine without one. Its "replays" run the work and take the thread's CPU time.
class FakeGpu final : public CudaBackend {
 public:
  explicit FakeGpu(std::unique_ptr<Backend> cpu) : cpu_(std::move(cpu)) {
    info_.name = "Fake GPU";
    info_.compute_major = 9;
    info_.l2_bytes = 1 << 16;
    info_.memory_bytes = std::int64_t{1} << 30;
  }
  std::string name() const override { return "cuda"; }
  std::string description() const override {
    return tf32 ? "a CPU in disguise, TF32 allowed" : "a CPU in disguise";
  }
  bool tf32 = false;
  int replays = 0;  ///< calls of time_replays
  void* allocate(std::size_t bytes) override { return cpu_->allocate(bytes); }
  void release(void* memory) noexcept override { cpu_->release(memory); }
  void copy_from_host(void* to, const void* host, std::size_t bytes) override {
    cpu_->copy_from_host(to, host, bytes);
  }
  void copy_to_host(void* host, const void* from, std::size_t bytes) override {
    cpu_->copy_to_host(host, from, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override { cpu_->copy(to, from, bytes); }
  void fill(float value, std::span<float> x) override { cpu_->fill(value, x); }
  void synchronize() override { cpu_->synchronize(); }
  double measure(const std::function<void()>& work) override { return cpu_->measure(work); }
  std::unique_ptr<Layer> make_layer(const LayerShape& shape) override {
    return cpu_->make_layer(shape);
  }
  std::unique_ptr<Activation> make_activation(const Dims& dims) override {
    return cpu_->make_activation(dims);
  }
  void write(std::span<const float> host, Activation& activation) override {
    cpu_->write(host, activation);
  }
  void read(const Activation& activation, std::span<float> host) override {
    cpu_->read(activation, host);
  }
  void accumulate(const Activation& term, Activation& sum) override { cpu_->accumulate(term, sum); }
  const CudaDeviceInfo& device() const override { return info_; }
  CudaClocks clocks() const override { return {1980, 2600, 40, 300}; }
  void allow_tf32(bool allowed) override { tf32 = allowed; }
  std::vector<ConvolutionChoice> convolution_choices() const override {
    return {{"3x3", "forward", 6, 1, 4096, true, 8192, ""}};
  }
  void legacy_top_k(std::span<const float> x, SparseOutput out) override { top_k(x, out); }
  void sort_top_k(std::span<const float> x, SparseOutput out) override { top_k(x, out); }

  ReplaySamples time_replays(const ReplayOptions& options,
                             const std::function<void(int)>& work) override {
    ++replays;
    ReplaySamples result;
    result.per_replay = options.buffers;
    result.warm = true;
    for (int i = -1; i < std::min(options.samples, 5); ++i) {
      const double t = seconds([&] {
        for (int b = 0; b < options.buffers; ++b) work(b);
      });
      if (i < 0) continue;
      result.seconds.push_back(t / options.buffers);
      result.sm_mhz.push_back(1980);
    }
    return result;
  }
  PieceSamples time_pieces(const ReplayOptions& options, std::size_t pieces,
                           const std::function<void(std::size_t)>& work) override {
    PieceSamples result;
    result.in_graph = result.warm = true;
    result.seconds.resize(pieces);
    for (int i = 0; i < std::min(options.samples, 5); ++i) {
      for (std::size_t p = 0; p < pieces; ++p)
        result.seconds[p].push_back(seconds([&] { work(p); }));
      result.sm_mhz.push_back(1980);
    }
    return result;
  }
  /// 10 us and 10 GB/s from pinned memory, half of that from pageable.
  std::vector<double> time_copies(CopyDirection, bool pinned, std::size_t bytes,
                                  int repetitions) override {
    return std::vector<double>(static_cast<std::size_t>(repetitions),
                               10e-6 + static_cast<double>(bytes) / (pinned ? 10e9 : 5e9));
  }
  CudaCeilings measure_ceilings() override {
    return {.sgemm_flops = 50e12,
            .copy_bandwidth = 3e12,
            .read_bandwidth = 3e12,
            .l2_bandwidth = 6e12,
            .graph_launch_seconds = 1e-6,
            .eager_launch_seconds = 3e-6};
  }

 private:
  // Not the wall clock: others use this machine.
  static double thread_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  template <class Work>
  static double seconds(const Work& work) {
    const double start = thread_seconds();
    work();
    return thread_seconds() - start;
  }

  std::unique_ptr<Backend> cpu_;
  CudaDeviceInfo info_;
};

}  // namespace paceline::kernels
