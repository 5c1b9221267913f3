#pragma once

#include <string>
#include <vector>

#include "base/defaults.hpp"
#include "experiments/experiment.hpp"
#include "experiments/result.hpp"

namespace paceline {

/// Relative, where nobody says better: NCCL on 10 Gb/s Ethernet of three clusters gets 0.70, 0.93
/// and 0.94 of the line rate; one stack on one network keeps within a few percent.
inline const Default kBandwidthSigma{"uncertainty.bandwidth", 0.05, "",
                                     "relative sigma of a network's bandwidth"};

/// An experiment with one input moved by its standard deviation, to the slower side.
struct MovedInput {
  std::string input;  ///< "computation", "network bandwidth", "stack: channel_per_tensor"
  double sigma = 0;   ///< over the value
  Experiment experiment;
};

/// One per input that is not known exactly: the profile's times (`compute_sigma`), bandwidth and
/// latency of the network, the links inside a node, and the constants of the stack with their
/// stated uncertainties. Those of the network are the spread of published fits of one kind of
/// network (calibrate/data/published/network-fits.json) unless its figures are the user's own.
std::vector<MovedInput> moved_inputs(const Experiment& experiment, double compute_sigma);

/// What the stack says of its own scatter, which moves no input: of runs on several GPUs.
void add_unexplained(const Experiment& experiment, double iteration_s,
                     std::vector<Influence>& influences);

/// By linear propagation: the root of the sum of the squares.
double combined_s(const std::vector<Influence>& influences);

}  // namespace paceline
