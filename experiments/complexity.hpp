#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace paceline {

/// What a schedule sent in T iterations on N workers, per worker.
struct ComplexityPoint {
  std::string schedule;
  double workers = 0;
  double iterations = 0;
  double rule_period = 1;   ///< T^(1/4) / N^(3/4), 1 at least
  std::int64_t period = 1;  ///< the integer below it: what ran
  bool clipped = false;     ///< T^(1/4) / N^(3/4) < 1: the rule allows S-SGD only
  double rounds = 0, messages = 0, bytes = 0;
  double simulated_iterations = 0;  ///< counted one by one; the rest is their cycles repeated
};

/// Log-log slopes over one variable, of what was counted and of the theory at the same points.
struct ComplexitySlope {
  std::string schedule;
  std::string over;     ///< "T" or "N"
  double at = 0;        ///< the other one, held
  double exponent = 0;  ///< of the theory, asymptotic
  double rounds = 0, messages = 0, bytes = 0;
  double theory_rounds = 0, theory_messages = 0, theory_bytes = 0;
  std::size_t points = 0;  ///< unclipped ones, which are fitted
};

struct Complexity {
  std::vector<ComplexityPoint> over_iterations, over_workers;
  std::vector<ComplexitySlope> slopes;
  double paper_period = 5, paper_workers = 16;
  double paper_period_from = 0;  ///< iterations from which the rule allows it
};

/// What is counted. Over T: T = (k N^(3/4))^4, where the rule gives k, for every k of `periods`,
/// and two T for which it is clipped. Over N: `iterations` on each of `worker_counts`.
struct ComplexityOptions {
  std::int64_t workers = 16;
  std::vector<std::int64_t> periods{2, 3, 4, 5, 6};
  std::int64_t iterations = 2'560'000;
  std::vector<std::int64_t> worker_counts{2, 4, 8, 16};
};

/// S-SGD (one message), Pipe-SGD, Local-SGD and CoCoD-SGD, the latter two with the rule's period,
/// on the reference star: rounds, messages and bytes counted in the simulation. Theory: T rounds,
/// and N^(3/4) T^(3/4) [recalled]; a ring sends 2 (N-1) messages and 2 S (N-1)/N bytes a round.
/// Throws InputError for fewer than two points to fit, or N and T where the rule is clipped at all
/// of them.
Complexity measure_complexity(const ComplexityOptions& options, unsigned parallel);

/// Slope of the least-squares line through (log x, log y); at least two different x.
double log_log_slope(const std::vector<double>& x, const std::vector<double>& y);

/// "format": "paceline-complexity-1".
Json to_json(const Complexity& complexity);

}  // namespace paceline
