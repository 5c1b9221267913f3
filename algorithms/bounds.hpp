#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "algorithms/model_shape.hpp"

namespace paceline {

/// What a paper says a schedule cannot beat (or should reach), evaluated for this run. Printed with
/// "exceeded: yes/no"; never fails a run - published measurements exceed some of them.
struct PaperBound {
  std::string name;     ///< "max(c, m)"
  std::string formula;  ///< the equation, in the paper's symbols
  std::string
      source;  ///< paper and equation, with its evidence mark: paper, code, derived or recalled
  double iteration_s = 0;  ///< as time of one iteration
  double speedup = 0;      ///< or as a speedup over `over`; 0: not one
  std::string over;        ///< "S-SGD", "SLGS-SGD", "one GPU"
  bool reference = false;  ///< of another way to run it: to look at, never exceeded
  /// false: as if communication were free; else not below the wire's floor.
  bool communicates = true;
};

inline PaperBound time_bound(std::string name, std::string formula, std::string source,
                             double iteration_s) {
  return {std::move(name), std::move(formula), std::move(source), iteration_s, 0, ""};
}
/// c, whatever is sent.
inline PaperBound linear_speedup(std::string source, double compute_s) {
  return {"linear speedup", "c", std::move(source), compute_s, 0, "", false, false};
}
/// What the same work costs another way, which this schedule may beat.
inline PaperBound time_reference(std::string name, std::string formula, std::string source,
                                 double iteration_s) {
  return {std::move(name), std::move(formula), std::move(source), iteration_s, 0, "", true};
}
inline PaperBound speedup_bound(std::string name, std::string formula, std::string source,
                                double speedup, std::string over) {
  return {std::move(name), std::move(formula), std::move(source), 0, speedup, std::move(over)};
}

/// Costs of one undisturbed iteration that bounds are made of, all from the profile and the closed
/// forms.
struct BoundInputs {
  const ModelShape* model = nullptr;
  std::size_t workers = 1;
  double forward_s = 0;   ///< t_f
  double backward_s = 0;  ///< t_b
  double update_s = 0;
  double compute_while_sending = 1;  ///< rate of compute while the worker is on the wire: 1 - a
  std::function<double(double bytes)> all_reduce_s;  ///< m for so many bytes
  std::function<double(double bytes)> all_gather_s;  ///< bytes of all blocks together
  std::function<double(double bytes)> message_s;     ///< one message worker to server
  std::function<double(double elements, double k, Selector selector)> select_s;  ///< sparsification
  /// What "weights - tensor" costs, by which a schedule updates that does it itself.
  std::function<double(double elements)> subtract_s = [](double) { return 0.0; };
  Selector selector = Selector::radix_select;  ///< the run's
  double payload_bytes_per_element = 4;
  std::size_t servers = 0;
  std::size_t pushers = 1;  ///< that each shard has: workers, or nodes where these reduce first
  /// By how much the link that all pushes and pulls load most is loaded over N S / (servers B): 2
  /// for a server's port that carries both directions together, more for a line that servers share.
  double server_passes = 1;

  [[nodiscard]] double compute_s() const { return forward_s + backward_s + update_s; }  ///< c
  [[nodiscard]] double model_bytes() const {
    return payload_bytes_per_element * static_cast<double>(model->elements);
  }
  /// Least time on the wire of one average of the whole model: without latency.
  [[nodiscard]] double dense_wire_s() const {
    return all_reduce_s(model_bytes()) - all_reduce_s(0);
  }
};

}  // namespace paceline
