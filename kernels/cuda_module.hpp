#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

// The CUDA backend lives in a module, libpaceline_cuda.so, that is opened when a GPU is asked for:
// no program of ours links a CUDA library.
namespace paceline::kernels {

/// What the driver and the loaded libraries say of a GPU; empty or 0 where they do not say.
struct CudaDeviceInfo {
  std::string name, uuid, pci_bus_id;
  int compute_major = 0, compute_minor = 0;
  int multiprocessors = 0;
  std::int64_t memory_bytes = 0, l2_bytes = 0;
  int memory_bus_bits = 0;
  int max_sm_clock_mhz = 0, max_memory_clock_mhz = 0;
  double power_limit_watts = 0;
  int pcie_generation = 0, pcie_width = 0, max_pcie_generation = 0, max_pcie_width = 0;
  bool ecc = false, mig = false, persistence = false;
  std::string driver, cuda_runtime, cublas, cudnn;  ///< versions; cudnn is "" without it
  std::string engine;  ///< what computes convolutions: "cudnn" or "im2col+cublas"
};

/// A look at the GPU's state; -1 where NVML is absent.
struct CudaClocks {
  int sm_mhz = -1, memory_mhz = -1, celsius = -1;
  double watts = -1;
};

struct ReplayOptions {
  int buffers = 1;               ///< the work rotates over so many sets of inputs
  double sample_seconds = 2e-3;  ///< one sample is a graph replay that lasts at least so long
  int samples = 30;
  double warm_up_seconds =
      2.0;  ///< at most; ends earlier once ten medians in a row agree within 1 %
  double limit_seconds = 15.0;  ///< of sampling; fewer samples come back then
  double clock_floor = 0.95;    ///< samples below this share of the median SM clock are dropped
};

/// Seconds per piece of work, one entry per sample kept.
struct ReplaySamples {
  std::vector<double> seconds;
  std::vector<int> sm_mhz;  ///< beside each sample; empty without NVML
  int per_replay = 0;       ///< pieces of work in one sample
  int dropped = 0;          ///< samples dropped because the clock was low
  bool warm = false;        ///< whether the warm-up rule was met in time
};

/// Seconds of consecutive pieces of one run, from events recorded between them.
struct PieceSamples {
  std::vector<std::vector<double>> seconds;  ///< [piece][sample], less what an event costs
  std::vector<int> sm_mhz;                   ///< beside each sample; empty without NVML
  double event_seconds = 0;  ///< between two events with nothing between them: subtracted
  int dropped = 0;           ///< samples dropped because the clock was low
  bool warm = false;         ///< whether the warm-up rule was met in time
  bool in_graph = false;     ///< else the driver refused events in a graph: launched one by one
};

/// Measured on this device, now: what its kernels can be compared with.
struct CudaCeilings {
  double sgemm_flops = 0;           ///< fp32 FMA, 4096^3, random data
  double copy_bandwidth = 0;        ///< bytes read plus written per second, device to device
  double read_bandwidth = 0;        ///< bytes read per second
  double l2_bandwidth = 0;          ///< bytes read per second from a buffer of a quarter of the L2
  double graph_launch_seconds = 0;  ///< per empty kernel inside a graph
  double eager_launch_seconds = 0;  ///< per empty kernel launched from the host, back to back
  double sgemm_default_flops = 0;   ///< the same product in cuBLAS's default math mode
  std::string copied_by{};          ///< the faster of "kernel" and "cudaMemcpyAsync"
};

/// What computes one pass of one convolution, as cuDNN was asked for it.
struct ConvolutionChoice {
  std::string shape;   ///< the layer's, in words
  std::string pass;    ///< "forward", "input gradient", "weight gradient", or "all"
  int algorithm = -1;  ///< cudnnConvolution{Fwd,BwdData,BwdFilter}Algo_t
  int math = -1;       ///< cudnnMathType_t that it reports
  std::size_t workspace_bytes = 0;
  bool measured = false;  ///< the fastest of those tried; else by cuDNN's heuristics
  std::size_t workspace_limit_bytes = 0;  ///< algorithms that want more are passed over
  std::string instead;                    ///< why the layer goes through im2col and cuBLAS; else ""
};

enum class CopyDirection { to_device, to_host, both };

/// Backend plus what a GPU adds to it. The operations here are exact, like Backend's; those that
/// return nothing never wait for the device and can be captured (time_replays).
class CudaBackend : public Backend {
 public:
  [[nodiscard]] virtual const CudaDeviceInfo& device() const = 0;
  [[nodiscard]] virtual CudaClocks clocks() const = 0;
  /// Whether matrix products and convolutions may round their inputs to TF32 (from compute
  /// capability 8.0 on). Off at first; concerns products, and layers made, from now on.
  virtual void allow_tf32(bool allowed) = 0;
  /// Of the layers that exist now and have run; empty without cuDNN.
  [[nodiscard]] virtual std::vector<ConvolutionChoice> convolution_choices() const = 0;

  [[nodiscard]] bool on_host() const override { return false; }
  /// The selection as torch.topk made it before 2022: one block of threads, two bits of the key per
  /// pass, 16 passes. Same result as top_k but for the order: all above the k-th by index, then its
  /// equals.
  virtual void legacy_top_k(std::span<const float> x, SparseOutput out) = 0;
  /// The same by a full radix sort (CUB) of keys and indices. Same set as top_k, largest first.
  virtual void sort_top_k(std::span<const float> x, SparseOutput out) = 0;

  /// Runs `work(buffer)` eagerly once per buffer, captures repetitions of it into one graph, and
  /// times replays of that with events. What `work` calls must be capturable: nothing that returns
  /// a value.
  virtual ReplaySamples time_replays(const ReplayOptions& options,
                                     const std::function<void(int)>& work) = 0;
  /// Runs `work(0)` to `work(pieces - 1)` as one graph with an event between each two, so that
  /// every piece finds the caches as the one before left them and no launch is waited for.
  virtual PieceSamples time_pieces(const ReplayOptions& options, std::size_t pieces,
                                   const std::function<void(std::size_t)>& work) = 0;
  /// Seconds of one pinned or pageable copy of `bytes`, host clock around copy and synchronisation,
  /// one entry per repetition. `both`: one copy each way at once on two streams.
  virtual std::vector<double> time_copies(CopyDirection direction, bool pinned, std::size_t bytes,
                                          int repetitions) = 0;
  virtual CudaCeilings measure_ceilings() = 0;
};

/// Opens the module ($PACELINE_CUDA_MODULE, else beside the program, in ../lib or ../lib/paceline,
/// then where the loader looks) and makes the backend of one GPU, counted from 0. Throws
/// InputError, in one line with what to do: the module is not there or from another build, no
/// driver or GPU was found, no such GPU.
std::unique_ptr<CudaBackend> load_cuda_backend(int device_id = 0);

/// The file that load_cuda_backend would open, or "" if none is found.
std::string find_cuda_module();

}  // namespace paceline::kernels
