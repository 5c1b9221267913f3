#include "experiments/complexity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "algorithms/complexity.hpp"
#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "experiments/run.hpp"
#include "experiments/shipped.hpp"

namespace paceline {
namespace {

struct Candidate {
  const char* name;
  bool periodic;
};
constexpr Candidate kCandidates[] = {
    {"s-sgd", false}, {"pipe-sgd", false}, {"local-sgd", true}, {"cocod-sgd", true}};
constexpr double kModelBytes = 4.0 * 25557032;  // of the reference case

double messages_per_round(double n) {
  return 2 * (n - 1);
}
double bytes_per_round(double n) {
  return 2 * kModelBytes * (n - 1) / n;
}

ComplexityPoint planned(const Candidate& candidate, double workers, double iterations) {
  ComplexityPoint p;
  p.schedule = candidate.name;
  p.workers = workers;
  p.iterations = iterations;
  if (!candidate.periodic) return p;
  p.rule_period = period_rule(iterations, workers);
  p.clipped = iterations < iterations_for_period(1, workers) * (1 - 1e-12);
  p.period = static_cast<std::int64_t>(p.rule_period * (1 + 1e-12));
  return p;
}

Json experiment_of(const ComplexityPoint& p) {
  Json json = load_experiment("reference-wfbp").json;
  json["set"] = {fmt::format("nodes[0].count={}", p.workers)};
  json["schedule"] = {{"name", p.schedule}};
  if (p.schedule == "s-sgd")
    json["schedule"]["overlap"] = "none";
  else if (p.schedule != "pipe-sgd")
    json["schedule"]["period"] = p.period;
  json["steps"] = static_cast<std::int64_t>(p.iterations);
  json["extrapolate"] = true;
  return json;
}

void count(std::vector<ComplexityPoint>& points, unsigned parallel) {
  std::vector<std::function<Json()>> tasks;
  for (const ComplexityPoint& p : points)
    tasks.push_back([p] {
      const Experiment experiment = read_experiment(experiment_of(p), "reference-wfbp");
      const JobOutcome job = run_alone(experiment, {.uncertainty = false}).job;
      return Json{job.rounds, job.total_messages, job.total_bytes, job.simulated_steps};
    });
  const std::vector<Json> counted = run_isolated(tasks, parallel);
  for (std::size_t i = 0; i < points.size(); ++i) {
    points[i].rounds = counted[i][0];
    points[i].messages = counted[i][1];
    points[i].bytes = counted[i][2];
    points[i].simulated_iterations = counted[i][3];
  }
}

ComplexitySlope fit(const Candidate& candidate, const std::vector<ComplexityPoint>& points,
                    bool over_iterations) {
  ComplexitySlope slope;
  slope.schedule = candidate.name;
  slope.over.assign(1, over_iterations ? 'T' : 'N');
  slope.exponent = candidate.periodic ? 0.75 : over_iterations ? 1 : 0;
  std::vector<double> x, rounds, messages, bytes, t_rounds, t_messages, t_bytes;
  for (const ComplexityPoint& p : points) {
    if (p.schedule != candidate.name || p.clipped) continue;
    slope.at = over_iterations ? p.workers : p.iterations;
    x.push_back(over_iterations ? p.iterations : p.workers);
    rounds.push_back(p.rounds);
    messages.push_back(p.messages);
    bytes.push_back(p.bytes);
    t_rounds.push_back(p.iterations / p.rule_period);
    t_messages.push_back(t_rounds.back() * messages_per_round(p.workers));
    t_bytes.push_back(t_rounds.back() * bytes_per_round(p.workers));
  }
  slope.points = x.size();
  if (x.size() < 2)
    throw InputError(
        fmt::format("complexity: {} of {} has fewer than two points over {} where the "
                    "rule k = T^(1/4)/N^(3/4) gives 1 or more",
                    candidate.name, points.size(), slope.over));
  slope.rounds = log_log_slope(x, rounds);
  slope.messages = log_log_slope(x, messages);
  slope.bytes = log_log_slope(x, bytes);
  slope.theory_rounds = log_log_slope(x, t_rounds);
  slope.theory_messages = log_log_slope(x, t_messages);
  slope.theory_bytes = log_log_slope(x, t_bytes);
  return slope;
}

Json to_json(const ComplexityPoint& p) {
  return {{"schedule", p.schedule},     {"workers", p.workers},
          {"iterations", p.iterations}, {"rule_period", p.rule_period},
          {"period", p.period},         {"clipped", p.clipped},
          {"rounds", p.rounds},         {"messages", p.messages},
          {"bytes", p.bytes},           {"simulated_iterations", p.simulated_iterations}};
}

Json to_json(const ComplexitySlope& s) {
  return {{"schedule", s.schedule},
          {"over", s.over},
          {"at", s.at},
          {"theory_exponent", s.exponent},
          {"rounds", s.rounds},
          {"messages", s.messages},
          {"bytes", s.bytes},
          {"theory_rounds", s.theory_rounds},
          {"theory_messages", s.theory_messages},
          {"theory_bytes", s.theory_bytes},
          {"points", s.points}};
}

}  // namespace

double log_log_slope(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  double sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double lx = std::log(x[i]), ly = std::log(y[i]);
    sx += lx;
    sy += ly;
    sxx += lx * lx;
    sxy += lx * ly;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

Complexity measure_complexity(const ComplexityOptions& options, unsigned parallel) {
  std::vector<double> dates;
  const auto n = static_cast<double>(options.workers);
  for (const double share : {1.0 / 16, 1.0 / 4})  // clipped: k = 1/2 and 1/sqrt(2)
    dates.push_back(std::floor(share * iterations_for_period(1, n)));
  for (const std::int64_t k : options.periods)
    dates.push_back(std::round(iterations_for_period(static_cast<double>(k), n)));
  std::erase_if(dates, [](double t) { return t < 64; });  // too few for a steady state

  Complexity result;
  for (const Candidate& candidate : kCandidates) {
    for (const double t : dates) result.over_iterations.push_back(planned(candidate, n, t));
    for (const std::int64_t workers : options.worker_counts)
      result.over_workers.push_back(planned(candidate, static_cast<double>(workers),
                                            static_cast<double>(options.iterations)));
  }
  count(result.over_iterations, parallel);
  count(result.over_workers, parallel);
  for (const Candidate& candidate : kCandidates) {
    result.slopes.push_back(fit(candidate, result.over_iterations, true));
    result.slopes.push_back(fit(candidate, result.over_workers, false));
  }
  result.paper_period_from = iterations_for_period(result.paper_period, result.paper_workers);
  return result;
}

Json to_json(const Complexity& complexity) {
  Json json{{"format", "paceline-complexity-1"},
            {"rule", "k = T^(1/4) / N^(3/4), clipped at 1"},
            {"counted",
             "in the simulation, per worker; beyond simulated_iterations its recognised "
             "cycle is repeated"},
            {"papers_period",
             {{"period", complexity.paper_period},
              {"workers", complexity.paper_workers},
              {"allowed_from_iterations", complexity.paper_period_from}}}};
  json["slopes"] = Json::array();
  for (const ComplexitySlope& slope : complexity.slopes) json["slopes"].push_back(to_json(slope));
  for (const auto& [key, points] : {std::pair{"over_iterations", &complexity.over_iterations},
                                    std::pair{"over_workers", &complexity.over_workers}}) {
    json[key] = Json::array();
    for (const ComplexityPoint& point : *points) json[key].push_back(to_json(point));
  }
  return json;
}

}  // namespace paceline
