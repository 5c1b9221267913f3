#pragma once

#include <cstdint>
#include <string>

namespace paceline {

// How often the schedules communicate: theory, to be printed beside what a run counted.
// T iterations, N workers.

/// The largest period for which periodic averaging keeps the rate O(1/sqrt(NT)):
/// k <= T^(1/4) / N^(3/4) (PR-SGD, CoCoD-SGD) [recalled]; never below 1, where S-SGD begins.
double period_rule(double iterations, double workers);
/// From how many iterations on the rule allows the period k: T >= (k N^(3/4))^4 [derived].
double iterations_for_period(double period, double workers);

/// Rounds of T iterations: T / k with k from the rule: N^(3/4) T^(3/4) where it does not bind at 1
/// [paper; derived].
double rounds_by_rule(double iterations, double workers);

/// "T/5 at k = 5; with k = T^(1/4)/N^(3/4): O(N^(3/4) T^(3/4)) [paper]".
std::string local_rounds_formula(std::int64_t period);

}  // namespace paceline
