#pragma once

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "kernels/layer.hpp"
#include "kernels/plain.hpp"
#include "kernels/shapes.hpp"

// What the oneDNN forms of the layers share. An activation keeps the layout of the layer that made
// it, and each layer takes what comes if it can; only where it cannot is the array reordered. Traps
// of oneDNN 2.6:
// - Its OpenMP teams spin when cores are shared (100 times slower); prepare_thread() allows one
// thread.
//   A primitive remembers the number of threads of its creation.
// - Its own scratchpads belong to the thread that created a primitive; ours (run) to the one that
// runs it.
// - No results to the last bit across instruction sets: compare with the reference within a
// tolerance.
namespace paceline::kernels::onednn {

using Desc = dnnl::memory::desc;

const dnnl::engine& engine();
/// One OpenMP thread for the calling thread, for good. Before anything is created or executed.
void prepare_thread();
/// For primitive descriptors: the caller brings the scratchpad.
const dnnl::primitive_attr& attributes();

/// fp32, row-major without gaps.
Desc plain(const Dims& dims);
/// The layout is oneDNN's to choose.
Desc any_layout(const Dims& dims);
/// Someone's row-major array as oneDNN sees it; not copied.
dnnl::memory view(const Dims& dims, const float* values);

/// A primitive and the size of its scratchpad.
class Operation {
 public:
  Operation() = default;
  template <class PrimitiveDesc>
  Operation(const PrimitiveDesc& desc, dnnl::primitive primitive)
      : primitive_(std::move(primitive)), scratchpad_(desc.scratchpad_desc()) {}
  explicit operator bool() const { return static_cast<bool>(primitive_); }
  /// Returns when it is done.
  void run(std::unordered_map<int, dnnl::memory> arguments) const;

 private:
  dnnl::primitive primitive_;
  Desc scratchpad_;
};

/// Copies arrays from one layout to another; keeps the primitive, and its buffer, from call to
/// call.
class Reorder {
 public:
  /// `from` itself if it already has the layout, else a copy that lives until the next call.
  dnnl::memory operator()(const dnnl::memory& from, const Desc& to);
  void copy(const dnnl::memory& from, const dnnl::memory& to);

 private:
  Operation operation_;
  Desc from_, to_;
  dnnl::memory buffer_;
};

/// An array in any layout. Copies of the handle share memory: write() never touches memory that
/// another activation shares.
class OneDnnActivation final : public Activation {
 public:
  using Activation::Activation;
  /// Throws std::logic_error if nothing was written yet.
  [[nodiscard]] const dnnl::memory& memory() const;
  /// Memory to be overwritten, in this layout.
  const dnnl::memory& write(const Desc& desc);
  /// Becomes the same array as the other one, without a copy.
  void share(const OneDnnActivation& other) { current_ = other.current_; }

 private:
  // Two buffers in turn: what was shared in the last step is let go only in the course of this one.
  std::shared_ptr<dnnl::memory> own_, spare_, current_;
};

const dnnl::memory& array(const Activation& activation);
OneDnnActivation& target(Activation& activation);

/// Runs a layer that wants row-major arrays.
std::unique_ptr<Layer> make_plain_layer(const LayerShape& shape, std::unique_ptr<Layer> layer);
/// dnnl_sgemm as a MatrixProduct.
void matrix_product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                    std::int64_t k, const float* a, const float* b, bool accumulate, float* c);

/// sum += term, in the layout that sum has.
void accumulate(const Activation& term, Activation& sum);

}  // namespace paceline::kernels::onednn
