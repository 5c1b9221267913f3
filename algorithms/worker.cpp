#include "algorithms/worker.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace paceline {

void detail::no_value() {
  throw std::logic_error("the value of a Pending was asked for that stands for nothing");
}

void detail::check_lengths(const kernels::OperationInfo& info, std::span<const Tensor> reads) {
  for (std::size_t i = 1; i < reads.size(); ++i)
    if (reads[i].elements() != reads[0].elements())
      throw std::logic_error(fmt::format("{} of {} elements of '{}' and {} of '{}'", info.name,
                                         reads[0].elements(), info.reads[0], reads[i].elements(),
                                         info.reads[i]));
}

Tensor TensorDevice::apply(const kernels::Call& call, std::span<const Tensor> reads,
                           std::int64_t elements, std::int64_t size) {
  Tensor result(this, elements, reads.front().offset());
  enqueue_call(call, {static_cast<double>(size), bytes_moved(reads, elements)}, reads,
               std::span(&result, 1));
  return result;
}

const char* to_string(Activity activity) {
  switch (activity) {
    case Activity::forward:
      return "forward";
    case Activity::backward:
      return "backward";
    case Activity::update:
      return "update";
    case Activity::sparsify:
      return "sparsify";
    case Activity::arithmetic:
      return "arithmetic";
    case Activity::software:
      return "software";
    case Activity::copy:
      return "copy";
    case Activity::host:
      return "host";
  }
  return "";
}

}  // namespace paceline
