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

/// The contiguous merge with the earliest end of the last message, exactly: with T(bytes) the cost
/// of one message on a serial channel and ready[j] the date of gradient j (backward order),
/// f(j) = min over i < j of max(f(i), ready[j]) + T(bytes of i+1..j) [derived]. T must not fall
/// with the bytes. No other rule here is faster on an undisturbed network. O(n^2) calls of T.
std::vector<Bucket> buckets_optimal(const ModelShape& model, double bytes_per_element,
                                    const std::function<double(double bytes)>& all_reduce_s);

/// OMGS' rule for sparsified gradients [code of HKBU-HPML/OMGS-SGD]: going from the last layer
/// down, merge l into l-1 when t_wait < t_save, with t_save = t_c(d_l) + t_c(d_{l-1}) - t_c(d_l +
/// d_{l-1}) and t_wait = t_b(l-1) + t_s(d_l + d_{l-1}) - t_s(d_l) - t_s(d_{l-1}) - (start of l's
/// exchange - end of its sparsification). `select_s(elements)` runs on the compute stream before
/// `exchange_s(elements)` on the wire.
std::vector<Bucket> buckets_omgs(const ModelShape& model,
                                 const std::function<double(double elements)>& select_s,
                                 const std::function<double(double elements)>& exchange_s);

}  // namespace paceline
