#include "sim/values/host_device_vector.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "sim/values/compute_device.hpp"

namespace paceline {

template <class T>
HostDeviceVector<T>::HostDeviceVector(const std::vector<T>& values) : size_(values.size()) {
  std::copy(values.begin(), values.end(), write().begin());
}

template <class T>
void HostDeviceVector<T>::reset(std::size_t size) {
  const std::scoped_lock lock(mutex_);
  host_only_ = false;
  newest_.clear();
  host_.reset();
  device_.reset();
  on_.reset();
  size_ = size;
}

template <class T>
void HostDeviceVector<T>::take_host_memory(bool zero) {
  if (!host_) {
    host_ = std::make_unique_for_overwrite<T[]>(size_);
    if (zero) std::fill_n(host_.get(), size_, T{});
  }
  if (!device_) host_only_.store(true, std::memory_order_release);
}

template <class T>
void HostDeviceVector<T>::take_device_memory(DeviceMemory& where) {
  if (device_) {
    if (on_.get() != &where) throw std::logic_error("one vector in the memory of two devices");
    return;
  }
  on_ = where.shared_from_this();
  device_ = on_->allocate(size_ * sizeof(T));
  newest_[0] = host_ ? Newest::host : Newest::nowhere;
  host_only_ = false;
}

// f(begin, end, newest) for each piece of the range.
template <class T>
template <class F>
void HostDeviceVector<T>::for_pieces(std::size_t offset, std::size_t count, const F& f) const {
  const std::size_t end = offset + count;
  for (auto piece = std::prev(newest_.upper_bound(offset)); offset < end; ++piece) {
    const auto next = std::next(piece);
    const std::size_t until = next == newest_.end() ? end : std::min(end, next->first);
    f(offset, until, piece->second);
    offset = until;
  }
}

template <class T>
void HostDeviceVector<T>::note(std::size_t begin, std::size_t end, Newest newest) {
  if (begin == end) return;
  const Newest beyond = std::prev(newest_.upper_bound(end))->second;
  newest_.erase(newest_.lower_bound(begin), newest_.upper_bound(end));
  newest_[begin] = newest;
  if (end < size_) newest_[end] = beyond;
}

template <class T>
void HostDeviceVector<T>::copy_piece(DeviceMemory* where, std::size_t begin, std::size_t end,
                                     Newest newest) {
  // Where only one side has memory so far, the other one's address is not asked for.
  const auto host = [&] { return host_.get() + begin; };
  const auto device = [&] { return static_cast<T*>(device_.get()) + begin; };
  const std::size_t bytes = (end - begin) * sizeof(T);
  if (where == nullptr) {
    if (newest == Newest::nowhere)
      std::fill_n(host(), end - begin, T{});
    else
      on_->run([&](kernels::Backend& on) { on.copy_to_host(host(), device(), bytes); });
  } else if (newest == Newest::nowhere) {
    const std::vector<T> zeros(end - begin);
    on_->run([&](kernels::Backend& on) { on.copy_from_host(device(), zeros.data(), bytes); });
  } else {
    on_->run([&](kernels::Backend& on) { on.copy_from_host(device(), host(), bytes); });
  }
}

template <class T>
void HostDeviceVector<T>::bring(DeviceMemory* where, std::size_t offset, std::size_t count) {
  const std::scoped_lock lock(mutex_);
  if (where != nullptr)
    take_device_memory(*where);
  else
    take_host_memory(!device_);
  if (!device_) return;
  const Newest here = where != nullptr ? Newest::device : Newest::host;
  struct Piece {
    std::size_t begin, end;
    Newest newest;
  };
  std::vector<Piece> missing;
  for_pieces(offset, count, [&](std::size_t begin, std::size_t end, Newest newest) {
    if (newest != here && newest != Newest::both) missing.push_back({begin, end, newest});
  });
  for (const Piece& piece : missing) {
    copy_piece(where, piece.begin, piece.end, piece.newest);
    note(piece.begin, piece.end, piece.newest == Newest::nowhere ? here : Newest::both);
  }
}

template <class T>
void HostDeviceVector<T>::claim(DeviceMemory* where, std::size_t offset, std::size_t count) {
  const std::scoped_lock lock(mutex_);
  if (where != nullptr)
    take_device_memory(*where);
  else
    take_host_memory(!device_ && count < size_);
  if (device_) note(offset, offset + count, where != nullptr ? Newest::device : Newest::host);
}

template <class T>
DeviceMemory* HostDeviceVector<T>::device_of(std::size_t offset, std::size_t count) const {
  if (host_only_.load(std::memory_order_acquire)) return nullptr;
  const std::scoped_lock lock(mutex_);
  if (!device_) return nullptr;
  bool there = true;
  for_pieces(offset, count, [&](std::size_t, std::size_t, Newest newest) {
    there = there && (newest == Newest::device || newest == Newest::both);
  });
  return there ? on_.get() : nullptr;
}

template <class T>
void HostDeviceVector<T>::save(ArchiveWriter& archive) {
  const bool touched = host_ || device_;
  archive.put<std::uint64_t>(touched ? size_ : 0);
  if (touched) archive.bytes(read().data(), size_ * sizeof(T));
}

template <class T>
void HostDeviceVector<T>::load(ArchiveReader& archive) {
  std::vector<T> values;
  archive.get(values);
  if (values.empty()) return;
  reset(values.size());
  std::copy(values.begin(), values.end(), write().begin());
}

template class HostDeviceVector<float>;
template class HostDeviceVector<std::int32_t>;

}  // namespace paceline
