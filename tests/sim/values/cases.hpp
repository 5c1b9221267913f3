#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "tests/sim/values/regression.hpp"

// Every schedule of the registry, small.
namespace paceline {

struct Case {
  std::string name;
  Json options = Json::object();
  std::size_t servers = 0;
  bool asynchronous = false;
};

inline std::vector<Case> cases() {
  return {{"s-sgd", {{"overlap", "wfbp"}}},
          {"s-sgd", {{"overlap", "horovod"}, {"fusion", "150B"}, {"cycle", "2ms"}}},
          {"local-sgd", {{"period", 3}}},
          {"pipe-sgd"},
          {"cocod-sgd", {{"period", 3}}},
          {"slgs-sgd", {{"density", 0.1}}},
          {"lags-sgd", {{"density", 0.1}, {"grouping", "none"}}},
          {"lags-sgd", {{"density", 0.1}, {"threshold", 30}, {"error_feedback", "raw"}}},
          {"gtop-k", {{"density", 0.1}}},
          {"dgc", {{"density", 0.2}, {"grouping", "none"}, {"momentum", 0.5}}},
          {"priority-sgd", {{"slice", "40B"}}},
          {"power-sgd", {{"rank", 1}}},
          {"overlap-local-sgd", {{"period", 2}}},
          {"stl-sgd", {{"period", 2}, {"first_stage", 7}}},
          {"diloco", {{"period", 4}}},
          {"streaming-diloco", {{"period", 4}, {"fragments", 3}, {"overlap", 1}}},
          {"streaming-diloco", {{"period", 4}, {"fragments", 2}, {"overlap", 2}, {"bits", 32}}},
          {"zero", {{"bucket", "100B"}}},
          {"fsdp", {{"unit", "100B"}}},
          {"dear", {{"group", "100B"}}},
          {"acco"},
          {"sgp"},
          {"sgp", {{"overlap", true}}},
          {"ad-psgd", Json::object(), 0, true},
          {"vrl-sgd", {{"period", 3}}},
          {"easgd", {{"period", 3}}},
          {"slowmo", {{"period", 3}}},
          {"eager-diloco", {{"period", 3}}},
          {"sparseloco", {{"period", 3}, {"density", 0.1}}},
          {"signsgd"},
          {"1-bit-adam", {{"freeze_step", 5}}},
          {"cltk", {{"density", 0.1}}},
          {"demo", {{"top", 3}}},
          {"ps-s-sgd", {{"split_above", 10}}, 2},
          {"asgd", {{"split_above", 10}}, 2, true},
          {"dc-asgd", Json::object(), 1, true},
          {"dc-asgd", {{"adaptive", true}, {"lambda", 1.0}}, 1, true},
          {"od-sgd", {{"warm_up", 3}, {"local_rate", 0.05}}, 2},
          {"cd-sgd", {{"warm_up", 3}, {"local_rate", 0.05}, {"threshold", 0.2}}, 1}};
}

inline Training training_of(const Case& c) {
  Training t;
  t.schedule = c.name;
  t.options = c.options;
  t.servers = c.servers;
  t.steps = 24;
  t.rate = [](std::int64_t step) { return 0.06 / (1 + 0.02 * static_cast<double>(step)); };
  t.skew = 0.2;
  return t;
}

inline std::string label(const Case& c) {
  return c.name + " " + c.options.dump();
}

}  // namespace paceline
