// What the project promises about training on real values, on one core: images per second of
// ResNet-20 and LeNet-5 (next batch, forward, backward, SGD with momentum; batch 32), and how much
// longer a training takes inside the simulator than the same arithmetic in a plain loop (16
// workers of batch 8, S-SGD over 10 Gb/s). Processor time of all threads, medians of interleaved
// rounds: the machine may be shared. Usage: training_bench [rounds]
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/statistics.hpp"
#include "experiments/prepare.hpp"
#include "kernels/backend.hpp"
#include "sim/values/value_engine.hpp"

namespace paceline {
namespace {

struct Case {
  const char* model;
  const char* data;
  std::int64_t steps;  // of one measurement
};

Experiment experiment_of(const Case& c, std::int64_t batch, int workers) {
  return read_experiment({{"format", "paceline-experiment-1"},
                          {"model", c.model},
                          {"batch", batch},
                          {"cluster", "16x1-1080ti-10gbe"},
                          {"gpus", fmt::format("0-{}", workers - 1)},
                          {"schedule", {{"name", "s-sgd"}, {"overlap", "mg-wfbp"}}},
                          {"steps", c.steps},
                          {"fidelity", "closed"},
                          {"training",
                           {{"data", {{"name", c.data}, {"train", batch * workers}, {"test", 1}}},
                            {"evaluation_samples", 1},
                            {"evaluate_every", c.steps},
                            {"threads", 1}}}},
                         "bench");
}

double processor_s(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// One experiment's training, with and without the simulator around it. Every sample is drawn once
// before anything is measured.
class Training {
 public:
  Training(const Case& c, std::int64_t batch, int workers)
      : experiment_(experiment_of(c, batch, workers)),
        images_(static_cast<double>(batch * workers * c.steps)) {
    Prepared prepared = prepare(experiment_);
    add_training(experiment_.jobs, prepared.jobs, prepared.simulation);
    spec_ = prepared.simulation;
    spec_.jobs.front().evaluate_every = 0;  // at the end
    spec_.threads = 1;  // as `paceline run` on one core: the values beside the clock
    const JobSpec& job = spec_.jobs.front();
    initial_ = job.values->initial_parameters();
    for (int rank = 0; rank < workers; ++rank) {
      engines_.push_back(job.values->make_worker(static_cast<std::size_t>(rank)));
      velocities_.emplace_back(initial_.size());
    }
    (void)plain_s();
  }

  [[nodiscard]] double images() const { return images_; }

  // load, forward and backward of every worker, the mean in rank order, every worker's update.
  double plain_s() {
    const JobSpec& job = spec_.jobs.front();
    const auto tensors = static_cast<std::uint32_t>(job.model.tensors.size());
    std::vector<std::vector<float>> weights(engines_.size(), initial_), gradients = weights;
    std::vector<float> mean(initial_.size());
    const auto share = 1.0F / static_cast<float>(engines_.size());
    return processor_s([&] {
      for (std::int64_t step = 0; step < job.steps; ++step) {
        for (std::size_t w = 0; w < engines_.size(); ++w) {
          engines_[w]->load(step, 0);
          engines_[w]->forward(0, tensors, weights[w], step);
          engines_[w]->backward(0, tensors, weights[w], gradients[w]);
        }
        std::fill(mean.begin(), mean.end(), 0.0F);
        for (const std::vector<float>& gradient : gradients)
          for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += share * gradient[i];
        for (std::size_t w = 0; w < engines_.size(); ++w)
          job.values->update(host_backend(), 0.01, mean, velocities_[w], weights[w]);
      }
    });
  }

  // As many steps as plain_s() takes, once the simulation is under way: its start (engines with
  // cold kernels, buffers) is in both runs.
  double simulated_s() const {
    constexpr std::int64_t kTimes = 4;
    const auto run_s = [&](std::int64_t times) {
      SimulationSpec spec = spec_;
      spec.jobs.front().steps *= times;
      return processor_s([&] { (void)simulate(spec); });
    };
    const double start_and_one = run_s(1);
    return (run_s(1 + kTimes) - start_and_one) / kTimes;
  }

 private:
  Experiment experiment_;
  double images_;
  SimulationSpec spec_;
  std::vector<std::unique_ptr<WorkerEngine>> engines_;
  std::vector<float> initial_;
  std::vector<std::vector<float>> velocities_;
};

int bench(int rounds) {
  Training resnet({"resnet20-cifar", "textures", 8}, 32, 1);
  Training lenet({"lenet5", "digits", 100}, 32, 1);
  Training inside_resnet({"resnet20-cifar", "textures", 3}, 8, 16);
  Training inside_lenet({"lenet5", "digits", 60}, 8, 16);
  std::map<std::string, std::vector<double>> seen;
  for (int round = 0; round < rounds; ++round) {
    seen["resnet"].push_back(resnet.images() / resnet.plain_s());
    seen["lenet"].push_back(lenet.images() / lenet.plain_s());
    seen["overhead resnet"].push_back(inside_resnet.simulated_s() / inside_resnet.plain_s() - 1);
    seen["overhead lenet"].push_back(inside_lenet.simulated_s() / inside_lenet.plain_s() - 1);
  }
  const auto line = [&](const char* what, const char* key, double scale, const char* unit) {
    const std::vector<double>& values = seen.at(key);
    fmt::print("{:44} {:9.1f} {}  [{:.1f}, {:.1f}]\n", what, scale * quantile(values, 0.5), unit,
               scale * *std::min_element(values.begin(), values.end()),
               scale * *std::max_element(values.begin(), values.end()));
  };
  fmt::print("{} kernels, median [least, most] of {} rounds\n", kernels::fastest_cpu_backend(),
             rounds);
  line("ResNet-20, batch 32, one core", "resnet", 1, "images/s");
  line("LeNet-5, batch 32, one core", "lenet", 1, "images/s");
  line("the simulator's share on top, ResNet-20", "overhead resnet", 100, "%");
  line("the simulator's share on top, LeNet-5", "overhead lenet", 100, "%");
  return 0;
}

}  // namespace
}  // namespace paceline

int main(int argc, char** argv) {
  return paceline::bench(argc > 1 ? std::max(1, std::atoi(argv[1])) : 7);
}
