// Networks trained through the simulator, with the project's own kernels.
#include <cstring>

#include "base/json.hpp"
#include "models/data/catalog.hpp"
#include "models/zoo.hpp"
#include "sim/values/network_engine.hpp"
#include "tests/sim/in_child.hpp"
#include "tests/sim/values/regression.hpp"

namespace paceline {
namespace {

struct NetworkRun {
  std::string model = "mlp", schedule = "s-sgd";
  Json options = Json::object();
  std::size_t workers = 2, servers = 0, threads = 2;
  std::int64_t batch = 6, micro_batches = 1, steps = 4, samples = 12;
  double momentum = 0.9;
  double rate = 0.05;
  Fidelity fidelity = Fidelity::closed;
  std::string backend;
};

ModelShape shape_of(const Model& model) {
  ModelShape shape;
  for (const ModelTensor& tensor : model.tensors()) {
    shape.tensors.push_back({tensor.name, tensor.elements(), shape.elements, 1e-3, 2e-3});
    shape.tensors.back().rows = tensor.shape[0];
    shape.elements += tensor.elements();
  }
  for (const GradientEvent& event : gradient_events(model))
    for (const std::size_t tensor : event.tensors)
      shape.backward_order.push_back(static_cast<TensorId>(tensor));
  return shape;
}

// Losses of the steps, then loss, accuracy and spread of the evaluations after every second step.
std::vector<double> curve(const NetworkRun& run) {
  const Model model = make_model(run.model);
  DataOptions data;
  data.train = run.samples;
  data.test = 40;
  TrainingOptions training;
  training.workers = run.workers;
  training.batch = run.batch;
  training.micro_batches = run.micro_batches;
  training.momentum = run.momentum;
  training.evaluation_samples = 40;
  training.backend = run.backend;

  const auto cluster = build(star_spec(run.workers + run.servers, 1e9, 4e-4));
  JobSpec job = make_job(shape_of(model), first_gpus(run.workers), run.steps, {});
  for (std::size_t s = 0; s < run.servers; ++s)
    job.servers.push_back(cluster->host_of(run.workers + s));
  ObjectReader reader(run.options, "test");
  job.schedule = find_schedule(run.schedule).make(reader, {&job.model, run.servers});
  job.accumulation = run.micro_batches;
  job.learning_rate = [rate = run.rate](std::int64_t) { return rate; };
  job.values = make_network_engine(model, open_dataset(data), training);
  job.evaluate_every = 2;
  SimulationSpec simulation;
  simulation.cluster = cluster;
  simulation.jobs = {std::move(job)};
  simulation.fidelity = run.fidelity;
  simulation.threads = run.threads;
  const TrainingLog log = simulate(simulation).jobs[0].training;
  std::vector<double> numbers;
  for (const LossPoint& step : log.steps) numbers.push_back(step.loss);
  for (const EvaluationPoint& e : log.evaluations)
    numbers.insert(numbers.end(), {e.loss, e.accuracy, e.spread});
  return numbers;
}

TEST(ValuesNetwork, WorkersWithHalfTheBatchAreOneWithTheWhole) {
  // Every step sees all 12 samples: 3 workers have 4 of them each.
  for (const char* model : {"mlp", "lenet5"})
    for (const char* overlap : {"none", "wfbp"}) {
      NetworkRun many;
      many.model = model;
      many.options = {{"overlap", overlap}};
      many.workers = 3;
      many.batch = 4;
      NetworkRun one = many;
      one.workers = 1;
      one.batch = 12;
      EXPECT_TRUE(all_near(curve(many), curve(one), 2e-4)) << model << ", " << overlap;
    }
}

TEST(ValuesNetwork, AccumulatedMicroBatchesAreOneBatch) {
  NetworkRun accumulated;
  accumulated.model = "lenet5";
  accumulated.batch = 2;
  accumulated.micro_batches = 3;
  NetworkRun whole = accumulated;
  whole.batch = 6;
  whole.micro_batches = 1;
  EXPECT_TRUE(all_near(curve(accumulated), curve(whole), 2e-4));
}

TEST(ValuesNetwork, ServersAndPiecesOfPassesChangeNoBit) {
  // Forward in pieces as the weights come home, weights replaced while backward still runs: what a
  // layer computes on is never touched. Halves are exact, so that two workers' mean is.
  NetworkRun run;
  run.model = "lenet5";
  run.samples = 60;
  const std::vector<double> plain = curve(run);
  run.schedule = "ps-s-sgd";
  run.servers = 2;
  run.options = {{"split_above", 1000}};
  std::vector<double> served = curve(run);
  // But for the evaluations on the way: the servers' weights at that date.
  EXPECT_EQ(std::vector<double>(served.begin(), served.begin() + 4),
            std::vector<double>(plain.begin(), plain.begin() + 4));
  EXPECT_EQ(served[7], plain[7]);
  run.schedule = "priority-sgd";
  run.servers = 0;
  run.options = {{"slice", "4kB"}};
  const std::vector<double> slices = curve(run);
  EXPECT_EQ(std::vector<double>(slices.begin(), slices.begin() + 4),
            std::vector<double>(plain.begin(), plain.begin() + 4));
  EXPECT_EQ(slices[7], plain[7]);
}

TEST(ValuesNetwork, DelayedUpdatesAreThoseOfPipeSgd) {
  NetworkRun pipe;
  pipe.model = "lenet5";
  pipe.schedule = "pipe-sgd";
  pipe.steps = 6;
  pipe.samples = 60;
  NetworkRun od = pipe;
  od.schedule = "od-sgd";
  od.servers = 1;
  od.options = {{"warm_up", 0}, {"local_rate", 0}, {"lambda", 0}};
  const std::vector<double> a = curve(od), b = curve(pipe);
  EXPECT_EQ(std::vector<double>(a.begin(), a.begin() + 6),
            std::vector<double>(b.begin(), b.begin() + 6));
}

TEST(ValuesNetwork, ThreadsAndFidelityChangeNoBit) {
  for (const char* schedule : {"s-sgd", "cocod-sgd", "lags-sgd"}) {
    NetworkRun run;
    run.model = "lenet5";
    run.schedule = schedule;
    run.workers = 3;
    run.steps = 5;
    run.samples = 90;
    run.threads = 0;
    run.rate = 0.01;
    run.momentum = 0;
    if (run.schedule == "cocod-sgd") run.options = {{"period", 2}};
    if (run.schedule == "lags-sgd") run.options = {{"density", 0.05}};
    const std::vector<double> first = curve(run);
    EXPECT_LT(first[5 + 3], first[0]) << "the last test loss and the first training loss";
    for (const std::size_t threads : {1U, 2U, 8U}) {
      run.threads = threads;
      EXPECT_EQ(curve(run), first) << schedule << ", " << threads << " threads";
    }
    run.fidelity = Fidelity::flow;
    EXPECT_EQ(in_child([&] { return curve(run); }), first) << schedule << " at flow fidelity";
  }
}

TEST(ValuesNetwork, BackendsAgree) {
  NetworkRun run;
  run.model = "lenet5";
  const std::vector<double> fastest = curve(run);
  run.backend = "reference";
  EXPECT_TRUE(all_near(curve(run), fastest, 1e-3));
}

}  // namespace
}  // namespace paceline
