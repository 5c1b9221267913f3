#pragma once

#include <cstdint>
#include <vector>

#include "calibrate/profile/profile.hpp"
#include "models/graph.hpp"

// What an earlier measurement left, and what of it is still to do.
namespace paceline {

/// Throws InputError if `known` is of another model, device, precision or software than `fresh`, or
/// not such a measurement at all.
void check_known(const Model& model, const Profile& known, const Profile& fresh);

/// Ceilings, copies and kernels of the same GPU, software and precision need no second measurement:
/// those of `other` are taken over. Throws InputError if it is of another, or has none.
void take_operations_from(Profile& profile, const Profile& other);

[[nodiscard]] bool has_batch(const Profile& profile, std::int64_t batch);
/// Whether a GPU's operations are missing or were interrupted.
[[nodiscard]] bool operations_pending(const Profile& profile);
/// Batches whose layers were not all timed alone before an interruption.
[[nodiscard]] std::vector<std::int64_t> unfinished_operators(const Profile& profile);

}  // namespace paceline
