#include "algorithms/buckets.hpp"

#include <algorithm>
#include <limits>

namespace paceline {
namespace {

// A bucket of the tensors order[first..last] of the backward order.
Bucket make_bucket(const ModelShape& model, std::size_t first, std::size_t last) {
  const auto begin = model.backward_order.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = model.backward_order.begin() + static_cast<std::ptrdiff_t>(last) + 1;
  const auto [low, high] = std::minmax_element(begin, end);
  return {{*low, *high}, model.backward_order[last]};
}

// A run of the backward order can be one message only if its tensors are neighbours in the flat
// gradient (branches yield theirs out of order).
bool contiguous(const ModelShape& model, std::size_t first, std::size_t last) {
  const Bucket bucket = make_bucket(model, first, last);
  return bucket.range.last - bucket.range.first == last - first;
}

// Appends the tensors order[first..last]. If a branch leaves the very last ones apart from one
// another, they take the buckets before them back until all are neighbours.
void push_bucket(std::vector<Bucket>& buckets, const ModelShape& model, std::size_t first,
                 std::size_t last) {
  while (!contiguous(model, first, last)) {
    first -= buckets.back().range.last - buckets.back().range.first + 1;
    buckets.pop_back();
  }
  buckets.push_back(make_bucket(model, first, last));
}

}  // namespace

std::vector<Bucket> one_bucket(const ModelShape& model) {
  return {make_bucket(model, 0, model.backward_order.size() - 1)};
}

std::vector<Bucket> bucket_per_tensor(const ModelShape& model) {
  std::vector<Bucket> buckets;
  for (std::size_t i = 0; i < model.backward_order.size(); ++i)
    buckets.push_back(make_bucket(model, i, i));
  return buckets;
}

std::vector<Bucket> buckets_by_size(const ModelShape& model, double bytes, double first_bytes,
                                    double bytes_per_element) {
  std::vector<Bucket> buckets;
  double filled = 0;
  std::size_t first = 0;
  const std::size_t count = model.backward_order.size();
  for (std::size_t i = 0; i < count; ++i) {
    filled +=
        bytes_per_element * static_cast<double>(model.tensors[model.backward_order[i]].elements);
    const double limit = buckets.empty() ? first_bytes : bytes;
    if ((filled >= limit && contiguous(model, first, i)) || i + 1 == count) {
      push_bucket(buckets, model, first, i);
      first = i + 1;
      filled = 0;
    }
  }
  return buckets;
}

std::vector<Bucket> buckets_mg_wfbp(const ModelShape& model, double bytes_per_element,
                                    const std::function<double(double bytes)>& all_reduce_s) {
  const std::size_t count = model.backward_order.size();
  const double startup = all_reduce_s(0);
  std::vector<double> ready(
      count);  // date at which the gradient is there, from the start of backward
  double date = 0;
  for (std::size_t i = 0; i < count; ++i)
    ready[i] = date += model.tensors[model.backward_order[i]].backward_s;

  std::vector<Bucket> buckets;
  std::size_t first = 0;
  double bytes = 0, channel_free = 0;
  for (std::size_t i = 0; i < count; ++i) {
    bytes +=
        bytes_per_element * static_cast<double>(model.tensors[model.backward_order[i]].elements);
    if (i + 1 < count) {
      const double begins = std::max(channel_free, ready[i]);
      const double ends = begins + all_reduce_s(bytes);
      const double next = ready[i + 1];
      const bool merge = next < ends && (begins > next || next - begins < startup);
      if (merge || !contiguous(model, first, i)) continue;
    }
    push_bucket(buckets, model, first, i);
    channel_free = std::max(channel_free, ready[i]) + all_reduce_s(bytes);
    first = i + 1;
    bytes = 0;
  }
  return buckets;
}

std::vector<Bucket> buckets_optimal(const ModelShape& model, double bytes_per_element,
                                    const std::function<double(double bytes)>& all_reduce_s) {
  const std::size_t count = model.backward_order.size();
  std::vector<double> ends(count + 1, std::numeric_limits<double>::infinity());  // f
  std::vector<std::size_t> first_of_last(count + 1, 0);  // where f(j)'s last message begins
  ends[0] = 0;
  double ready = 0;
  for (std::size_t j = 1; j <= count; ++j) {
    ready += model.tensors[model.backward_order[j - 1]].backward_s;
    double elements = 0;
    TensorId low = model.backward_order[j - 1], high = low;
    for (std::size_t i = j; i-- > 0;) {  // the last message holds i .. j-1 of the backward order
      const TensorId tensor = model.backward_order[i];
      elements += static_cast<double>(model.tensors[tensor].elements);
      low = std::min(low, tensor);
      high = std::max(high, tensor);
      if (high - low != j - 1 - i) continue;  // not neighbours in the flat gradient
      const double end = std::max(ends[i], ready) + all_reduce_s(bytes_per_element * elements);
      if (end < ends[j]) {
        ends[j] = end;
        first_of_last[j] = i;
      }
    }
  }
  std::vector<Bucket> buckets;
  for (std::size_t j = count; j > 0; j = first_of_last[j])
    buckets.push_back(make_bucket(model, first_of_last[j], j - 1));
  std::reverse(buckets.begin(), buckets.end());
  return buckets;
}

std::vector<Bucket> buckets_omgs(const ModelShape& model,
                                 const std::function<double(double elements)>& select_s,
                                 const std::function<double(double elements)>& exchange_s) {
  const auto item = [&](std::size_t i) -> const ModelShape::Item& {
    return model.tensors[model.backward_order[i]];
  };
  std::vector<Bucket> buckets;
  const std::size_t count = model.backward_order.size();
  std::size_t first = 0;
  double elements = 0;      // of the open group
  double compute_free = 0;  // backward and sparsification, up to the open group's sparsification
  double wire_free = 0;
  for (std::size_t i = 0; i < count; ++i) {
    elements += static_cast<double>(item(i).elements);
    compute_free += item(i).backward_s;
    const double selected = compute_free + select_s(elements);
    const double begins = std::max(wire_free, selected);
    bool merge = false;
    if (i + 1 < count) {
      const auto next = static_cast<double>(item(i + 1).elements);
      const double saved = exchange_s(elements) + exchange_s(next) - exchange_s(elements + next);
      const double wait = item(i + 1).backward_s + select_s(elements + next) - select_s(elements) -
                          select_s(next) - (begins - selected);
      merge = wait < saved || !contiguous(model, first, i);
    }
    if (merge) continue;
    push_bucket(buckets, model, first, i);
    compute_free = selected;
    wire_free = begins + exchange_s(elements);
    elements = 0;
    first = i + 1;
  }
  return buckets;
}

}  // namespace paceline
