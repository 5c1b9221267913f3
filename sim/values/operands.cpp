#include "sim/values/operands.hpp"

namespace paceline {

kernels::Backend& host_backend() {
  static const std::unique_ptr<kernels::Backend> host = kernels::make_backend("reference");
  return *host;
}

// The n-th operand of an operation takes the n-th piece of memory, which grows to the largest so
// far.
void* Operands::place(void* host, std::size_t bytes, bool read, bool written) {
  if (used_ == copies_.size()) copies_.emplace_back();
  Copy& copy = copies_[used_++];
  if (copy.memory.size() < bytes) {
    copy.memory = {};
    copy.memory = kernels::Array<std::byte>(backend_, bytes);
  }
  copy.host = host;
  copy.bytes = bytes;
  copy.written = written;
  if (read && bytes > 0) backend_.copy_from_host(copy.memory.data(), host, bytes);
  return copy.memory.data();
}

void Operands::done() {
  for (std::size_t i = 0; i < used_; ++i)
    if (const Copy& copy = copies_[i]; copy.written && copy.bytes > 0)
      backend_.copy_to_host(copy.host, copy.memory.data(), copy.bytes);
  used_ = 0;
}

}  // namespace paceline
