#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "algorithms/tensor.hpp"
#include "sim/values/lineage.hpp"
#include "sim/values/task_graph.hpp"

namespace paceline {

/// The data of dense tensors. Handles (tensors) are counted by Values; tasks hold `data` alone.
/// Only the simulated clock's thread touches anything but the contents of `data`.
class Buffer final : public Values {
 public:
  /// `data` takes no memory until the task that writes it runs: the simulation may be hundreds of
  /// tasks ahead of the values. Zeros if it is read without having been written.
  Buffer(TaskGraph& graph, std::size_t elements) : data(graph.state().floats(elements)) {}
  Buffer(TaskGraph& graph, const std::vector<float>& values) : data(graph.state().floats(values)) {}

  [[nodiscard]] std::size_t elements() const { return data->size(); }

  Floats data;
  TaskGraph::Ref written;  ///< the task that writes the contents
  Lineage lineage;         ///< of the contents, known when that task is posted
  /// Set if the contents may be overwritten later, by tasks of this strand: those wait for
  /// `readers`, the tasks of other strands that read since then. Other buffers are written once.
  const Strand* in_place_of = nullptr;
  std::vector<TaskGraph::Ref> readers;

  /// Before a task of `strand` reads: what it must wait for. After it is posted: note_reader.
  void note_reader(const Strand* strand, const TaskGraph::Ref& task) {
    if (in_place_of != nullptr && in_place_of != strand) readers.push_back(task);
  }
};

/// The data of a Sparse.
class SparseBuffer final : public Values {
 public:
  explicit SparseBuffer(TaskGraph& graph) : data(graph.state().sparse()) {}

  std::shared_ptr<SparseData> data;
  TaskGraph::Ref written;
  std::int64_t read_at = Versions::kNone;  ///< as Lineage::read_at
  bool size_known = true;  ///< false: the selector decides how many; known once written
};

using BufferRef = boost::intrusive_ptr<Buffer>;
using SparseBufferRef = boost::intrusive_ptr<SparseBuffer>;

/// A tensor's data as a task sees them: made on the clock's thread, once its writer is posted. The
/// tensor must have data.
class View {
 public:
  explicit View(const Tensor& tensor)
      : data_(static_cast<Buffer*>(tensor.values().get())->data),
        offset_(static_cast<std::size_t>(tensor.values_offset())),
        size_(static_cast<std::size_t>(tensor.elements())) {}
  /// In the host's memory (null) or a device's.
  [[nodiscard]] std::span<const float> read(DeviceMemory* where = nullptr) const {
    return data_->read(where, offset_, size_);
  }
  [[nodiscard]] DeviceMemory* device() const { return data_->device_of(offset_, size_); }

 private:
  Floats data_;
  std::size_t offset_, size_;
};

inline Buffer& buffer_of(const Tensor& tensor) {
  return *static_cast<Buffer*>(tensor.values().get());
}
/// `to` is made of `from`.
inline void inherit(Buffer& to, const Tensor& from) {
  const Lineage& lineage = buffer_of(from).lineage;
  const auto newer = [&](Versions& own, const Versions& other) {
    own.set_all(std::max(own.newest(0, INT64_MAX), other.newest(from.offset(), from.elements())));
  };
  newer(to.lineage.version, lineage.version);
  newer(to.lineage.read_at, lineage.read_at);
}
inline SparseBuffer& buffer_of(const Sparse& sparse) {
  return *static_cast<SparseBuffer*>(sparse.pairs().values().get());
}

/// The tasks that write them.
inline std::vector<TaskGraph::Ref> written(const std::vector<Tensor>& tensors) {
  std::vector<TaskGraph::Ref> tasks;
  for (const Tensor& tensor : tensors) tasks.push_back(buffer_of(tensor).written);
  return tasks;
}

inline std::vector<View> views(const std::vector<Tensor>& tensors) {
  std::vector<View> result;
  for (const Tensor& tensor : tensors) result.emplace_back(tensor);
  return result;
}

/// See Buffer::note_reader.
inline void note_readers(const std::vector<Tensor>& tensors, const Strand* strand,
                         const TaskGraph::Ref& task) {
  for (const Tensor& tensor : tensors) buffer_of(tensor).note_reader(strand, task);
}

}  // namespace paceline
