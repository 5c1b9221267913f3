#pragma once

#include <functional>
#include <vector>

#include "algorithms/model_shape.hpp"

namespace paceline {

/// Consecutive tensors (in backward order) whose gradients leave as one message. Every rule below
/// returns buckets in the order in which they are sent; together they hold every tensor once.
struct Bucket {
  TensorRange range;    ///< contiguous in the flat gradient
  TensorId last_ready;  ///< the tensor of the bucket whose gradient comes last
};

std::vector<Bucket> one_bucket(const ModelShape& model);         ///< the whole model
std::vector<Bucket> bucket_per_tensor(const ModelShape& model);  ///< wait-free back-propagation

/// Closes a bucket once it holds at least `bytes` (the first one: `first_bytes`), as PyTorch's DDP
/// does with 25 MiB and 1 MiB.
std::vector<Bucket> buckets_by_size(const ModelShape& model, double bytes, double first_bytes,
                                    double bytes_per_element);

/// MG-WFBP's rule [code of HKBU-HPML/MG-WFBP; Shi, Chu, Li, INFOCOM 2019]: going from the last
/// layer down, merge l into l-1 when l-1's gradient is ready before l's message would end, and
/// either that message has not begun or the wait is shorter than the start-up cost.
/// `all_reduce_s(bytes)` is the cost of one message.
std::vector<Bucket> buckets_mg_wfbp(const ModelShape& model, double bytes_per_element,
                                    const std::function<double(double bytes)>& all_reduce_s);

}  // namespace paceline
