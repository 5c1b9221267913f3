#pragma once

#include "tests/sim/scenario.hpp"

namespace paceline {

/// The reference case: ResNet-50's 161 tensors with 25,557,032 fp32 parameters in all, forward
/// 35 ms, backward 434 us each, every one reduced by a ring of its own in order.
inline ModelShape reference_model() {
  ModelShape model;
  for (int i = 0; i < 161; ++i)
    add_tensor(model, i < 53 ? 158'740 : 158'739, i == 0 ? 35e-3 : 0, 434e-6);
  return model;
}

/// 50 us, 1.25 x 2^30 B/s, one GPU per node.
inline std::shared_ptr<const Cluster> reference_cluster(std::size_t workers) {
  return build(star_spec(workers, 1.25 * 1024 * 1024 * 1024, 50e-6));
}

inline JobSpec reference_job(std::size_t workers, std::int64_t steps) {
  return make_job(reference_model(), first_gpus(workers), steps, wait_free);
}

}  // namespace paceline
