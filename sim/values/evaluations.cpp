#include "sim/values/evaluations.hpp"

#include <algorithm>
#include <cmath>

#include "sim/values/collective_values.hpp"

namespace paceline {
namespace {

std::int64_t first_broken(const std::vector<View>& models) {
  const auto broken = std::find_if(models.begin(), models.end(), [](const View& model) {
    const std::span<const float> weights = model.read();
    return !std::all_of(weights.begin(), weights.end(), [](float x) { return std::isfinite(x); });
  });
  return broken == models.end() ? -1 : broken - models.begin();
}

}  // namespace

Evaluations::Evaluations(TaskGraph& graph, Continuations& later,
                         std::shared_ptr<ValueEngine> engine, std::vector<double> shares,
                         std::int64_t every, std::int64_t steps)
    : graph_(graph),
      later_(later),
      engine_(std::move(engine)),
      shares_(std::move(shares)),
      every_(every),
      steps_(steps) {}

void Evaluations::passed(std::int64_t step, std::size_t rank, const Tensor& model,
                         WorkerValues& values) {
  Open& open = open_[step];
  if (open.models.empty()) {
    open.models.resize(shares_.size());
    for (std::size_t w = 0; w < shares_.size(); ++w)
      open.states.push_back(
          graph_.state().floats(static_cast<std::size_t>(values.engine().state_elements())));
  }
  // The handle keeps these very weights, whatever the worker does next; they may still be under
  // way.
  open.models[rank] = model;
  open.after.push_back(values.strand().post([&engine = values.engine(), state = open.states[rank]] {
    engine.read_state(state->write());
  }));
}

void Evaluations::all_passed(std::int64_t step, double date_s, const std::vector<Tensor>& served) {
  auto waiting = std::make_shared<Open>(std::move(open_.extract(step).mapped()));
  waiting->point = graph_.state().record(EvaluationPoint{});
  waiting->point->step = step;
  waiting->point->time_s = date_s;
  waiting->served = served;
  std::vector<Tensor> all = waiting->models;
  all.insert(all.end(), served.begin(), served.end());
  const auto missing = std::make_shared<std::size_t>(all.size());
  for (const Tensor& model : all)
    later_.when_done(model.producer(), [this, waiting, missing] {
      if (--*missing == 0) post(std::move(*waiting));
    });
}

void Evaluations::post(Open open) {
  points_[open.point->step] = open.point;
  std::vector<TaskGraph::Ref> after = std::move(open.after);
  after.push_back(last_);
  for (const Tensor& model : open.models) after.push_back(buffer_of(model).written);
  const BufferRef average = reduce_mean(graph_, open.models, shares_, 32);
  after.push_back(average->written);
  for (const Tensor& shard : open.served) after.push_back(buffer_of(shard).written);
  std::vector<View> of_workers, of_servers;
  for (const Tensor& model : open.models) of_workers.emplace_back(model);
  for (const Tensor& shard : open.served) of_servers.emplace_back(shard);
  std::vector<std::int64_t> offsets;
  for (const Tensor& shard : open.served) offsets.push_back(shard.offset());
  last_ = graph_.post(
      [engine = engine_, point = open.point, data = average->data, of_workers, of_servers, offsets,
       states = open.states] {
        const std::span<const float> mean = data->read();
        double distance = 0, norm = 0;
        for (const float x : mean) norm += static_cast<double>(x) * x;
        for (const View& view : of_workers) {
          const std::span<const float> own = view.read();
          for (std::size_t i = 0; i < mean.size(); ++i) {
            const double d = static_cast<double>(own[i]) - mean[i];
            distance += d * d;
          }
        }
        point->spread = norm == 0 ? 0 : distance / norm / static_cast<double>(of_workers.size());
        // The weights that a parameter server holds are the model; the workers' are what they
        // compute on.
        std::vector<float> weights(mean.begin(), mean.end());
        for (std::size_t s = 0; s < of_servers.size(); ++s) {
          const std::span<const float> shard = of_servers[s].read();
          std::copy(shard.begin(), shard.end(), weights.begin() + offsets[s]);
        }
        std::vector<float> state(states.front()->size(), 0.0F);
        for (const Floats& one : states) {
          const std::span<const float> own = one->read();
          for (std::size_t i = 0; i < state.size(); ++i)
            state[i] += own[i] / static_cast<float>(states.size());
        }
        const Evaluation result = engine->evaluate(weights, state);
        point->loss = result.loss;
        point->accuracy = result.accuracy;
        if (!std::isfinite(result.loss)) point->broken_worker = first_broken(of_workers);
      },
      std::move(after));
  unasked_.emplace_back(last_, open.point);
  for (const Tensor& model : open.models) buffer_of(model).note_reader(nullptr, last_);
}

bool Evaluations::reached(double accuracy) {
  bool any = false;
  for (const auto& asked : std::exchange(unasked_, {}))
    any |= graph_.take(asked.first, [&] { return asked.second->accuracy; }) >= accuracy;
  return any;
}

std::vector<EvaluationPoint> Evaluations::points() const {
  std::vector<EvaluationPoint> all;
  for (const auto& [step, point] : points_) all.push_back(*point);
  return all;
}

}  // namespace paceline
