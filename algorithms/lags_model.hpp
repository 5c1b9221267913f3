#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace paceline {

/// What one group of tensors costs LAGS-SGD, in the order of backward.
struct LagsGroup {
  double backward_s = 0;  ///< tb
  double select_s = 0;    ///< ts: top-k, on the compute stream
  double gather_s = 0;    ///< tc: exchange, on the wire
};

/// One iteration of LAGS-SGD [code of HKBU-HPML/LAGS]: b_L = 0; s_l = b_l + tb_l; b_{l-1} = s_l +
/// ts_l; c_l = max(c_{l+1} + tc_{l+1}, s_l + ts_l); iteration = t_f + c_1 + tc_1 + update.
inline double lags_iteration_s(double forward_s, std::span<const LagsGroup> groups,
                               double update_s) {
  double compute = 0, wire = 0;
  for (const LagsGroup& group : groups) {
    compute += group.backward_s + group.select_s;
    wire = std::max(wire, compute) + group.gather_s;
  }
  return forward_s + std::max(compute, wire) + update_s;
}

/// The most that LAGS-SGD can gain over SLGS-SGD [code]: 1 + 1 / (t_f / min(t_c, t_b) + max(r,
/// 1/r)) with r = t_c / t_b, which is (t_f + t_b + t_c) / (t_f + max(t_b, t_c)) [derived]. The
/// paper's t_c is the communication; its authors' script puts the *sparsification* there, and that
/// reproduces the published table.
inline double lags_s_max(double forward_s, double backward_s, double t_c_s) {
  return (forward_s + backward_s + t_c_s) / (forward_s + std::max(backward_s, t_c_s));
}

// Exchanges of k elements over P workers, message cost alpha + beta * elements [paper gTop-k,
// Shi et al. 2019]. A sparse element travels with its index: twice the bytes.
/// Top-k all-gather: alpha log2 P + 2 (P-1) k beta.
inline double top_k_all_gather_s(double workers, double k, double alpha, double beta) {
  return alpha * std::log2(workers) + 2 * (workers - 1) * k * beta;
}
/// gTop-k: alpha log2 P + 2 k log2 P beta as the paper has it; with the broadcast that follows the
/// tree, as its script has it, 2 alpha log2 P + 4 k log2 P beta [code].
inline double gtop_k_paper_s(double workers, double k, double alpha, double beta) {
  return alpha * std::log2(workers) + 2 * k * std::log2(workers) * beta;
}
inline double gtop_k_script_s(double workers, double k, double alpha, double beta) {
  return 2 * gtop_k_paper_s(workers, k, alpha, beta);
}

}  // namespace paceline
