// Sparsified schedules: their times against recursions and closed forms written here, apart from
// the code under test.

#include <gtest/gtest.h>

#include <map>

#include "algorithms/lags_model.hpp"
#include "algorithms/sparsity.hpp"
#include "base/json.hpp"
#include "tests/algorithms/simulated.hpp"

namespace paceline {
namespace {

using namespace simulated;

constexpr double kTight = 1e-6;

// Layers 1 .. L as the paper counts them, possibly several tensors each.
struct Layer {
  double tb = 0, elements = 0, k = 0;
};

// Groups from the last tensor down, closed once they hold `threshold` elements.
std::vector<Layer> group_layers(const ModelShape& model, double threshold,
                                const std::vector<double>& density) {
  std::vector<Layer> layers(1);
  for (std::size_t t = model.tensors.size(); t-- > 0;) {
    if (layers.back().elements >= threshold) layers.emplace_back();
    const auto n = static_cast<double>(model.tensors[t].elements);
    layers.back().tb += model.tensors[t].backward_s;
    layers.back().elements += n;
    layers.back().k += density[t] * n;
  }
  std::reverse(layers.begin(), layers.end());
  for (Layer& layer : layers) layer.k = std::max(1.0, std::round(layer.k));
  return layers;
}

// b_L = 0; s_l = b_l + tb_l; b_{l-1} = s_l + ts_l; c_l = max(c_{l+1} + tc_{l+1}, s_l + ts_l);
// iteration = t_f + c_1 + tc_1.
double recursion(double t_f, const std::vector<Layer>& layers, const Star& star) {
  const std::size_t L = layers.size();
  std::vector<double> b(L + 1), s(L + 1), c(L + 2), tc(L + 2);
  b[L] = 0;
  for (std::size_t l = L; l >= 1; --l) {
    const Layer& layer = layers[l - 1];
    const double ts = top_k_s(layer.elements);
    s[l] = b[l] + layer.tb;
    b[l - 1] = s[l] + ts;
    c[l] = std::max(c[l + 1] + tc[l + 1], s[l] + ts);
    tc[l] = star.all_gather_s(8 * layer.k);
  }
  return t_f + c[1] + tc[1];
}

TEST(SparseIdentity, LagsEqualsTheRecursion) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> exponent(-3, 0);
  int wire_bound = 0, compute_bound = 0;
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    const ModelShape model = random_model(seed, 3 + static_cast<int>(seed % 17), 1e-3);
    const double density = std::pow(10, exponent(random));
    const double threshold = seed % 3 == 0 ? 1 : 8192;
    Star star;
    star.workers = 2 + seed % 7;
    if (seed % 2 == 1) {
      star.bandwidth = 1e9 / 8;
      star.overrides[1] = "network.bandwidth=1Gbps";
    }
    const std::vector<double> densities(model.tensors.size(), density);
    const auto layers = group_layers(model, threshold, densities);
    const double expected = recursion(forward_s(model), layers, star);
    const Json options{{"density", density},
                       {"grouping", seed % 3 == 0 ? "none" : "threshold"},
                       {"error_feedback", seed % 2 == 0 ? "scaled" : "raw"}};
    const JobResult r = run("lags-sgd", options, model, star, 4);
    EXPECT_NEAR(r.iteration_time_s, expected, kTight * expected) << "seed " << seed;
    double blocks = compute_s(model);
    for (const Layer& layer : layers) blocks += top_k_s(layer.elements);
    (expected > 1.2 * blocks ? wire_bound : compute_bound)++;
  }
  EXPECT_GT(wire_bound, 3);
  EXPECT_GT(compute_bound, 3);
}

TEST(SparseIdentity, LagsTakesRatiosByTensorName) {
  const ModelShape model = random_model(11, 9);
  const Star star;
  std::vector<double> densities(model.tensors.size(), 0.01);
  densities[2] = 1.0 / 4;
  densities[0] = 1.0 / 2;
  const Json options{{"density", 0.01},
                     {"grouping", "none"},
                     {"ratios", {{"layer2.weight", 4}, {"layer0.weight", 2}}}};
  const double expected = recursion(forward_s(model), group_layers(model, 1, densities), star);
  const double time = run("lags-sgd", options, model, star, 3).iteration_time_s;
  EXPECT_NEAR(time, expected, kTight * expected);
  const double without =
      run("lags-sgd", {{"density", 0.01}, {"grouping", "none"}}, model, star, 3).iteration_time_s;
  EXPECT_GT(std::abs(time - without), 20 * kTight * time);
}

TEST(SparseIdentity, ItsOwnBoundIsTheRecursion) {
  const ModelShape model = random_model(12, 10);
  const Star star;
  const auto costs = free_operations();
  BoundInputs in;
  in.model = &model;
  in.workers = star.workers;
  in.forward_s = forward_s(model);
  in.backward_s = backward_s(model);
  in.select_s = [&](double n, double k, Selector selector) {
    return costs->top_k(n, k, static_cast<Selector>(selector));
  };
  in.selector = Selector::torch_legacy;
  in.all_gather_s = [&](double bytes) {
    return star.all_gather_s(bytes / static_cast<double>(star.workers));
  };
  const Schedule schedule = make_schedule("lags-sgd", {{"density", 0.02}}, model);
  const auto bounds = schedule.bounds(in);
  ASSERT_EQ(bounds.size(), 4u);
  const double time = run("lags-sgd", {{"density", 0.02}}, model, star, 3).iteration_time_s;
  EXPECT_NEAR(bounds[1].iteration_s, time, kTight * time);
  EXPECT_GT(bounds[2].speedup, 1);
  EXPECT_GT(bounds[3].speedup, 1);
}

TEST(SparseIdentity, SlgsIsASum) {
  for (const double density : {0.001, 0.05, 1.0}) {
    const ModelShape model = random_model(13, 6);
    const Star star;
    const auto n = static_cast<double>(model.elements);
    const double expected =
        compute_s(model) + top_k_s(n) + star.all_gather_s(8 * std::round(density * n));
    const double time = run("slgs-sgd", {{"density", density}}, model, star, 3).iteration_time_s;
    EXPECT_NEAR(time, expected, kTight * expected);
  }
}

TEST(SparseIdentity, GTopKIsATreeThereAndBack) {
  for (const std::size_t workers : {2u, 4u, 8u, 16u}) {
    const ModelShape model = random_model(14, 6);
    Star star;
    star.workers = workers;
    const auto n = static_cast<double>(model.elements);
    const double expected = compute_s(model) + top_k_s(n) + star.gtop_k_s(8 * std::round(0.01 * n));
    const double time = run("gtop-k", {{"density", 0.01}}, model, star, 3).iteration_time_s;
    EXPECT_NEAR(time, expected, kTight * expected) << workers;
    // The script's closed form: 2 log2 P latencies, 4 k log2 P beta.
    EXPECT_NEAR(gtop_k_script_s(static_cast<double>(workers), std::round(0.01 * n), star.alpha,
                                4 / star.bandwidth),
                star.gtop_k_s(8 * std::round(0.01 * n)), 1e-12);
  }
}

TEST(SparseIdentity, DensityWarmUpIsPaidInItsSteps) {
  const ModelShape model = random_model(15, 6);
  const Star star;
  const auto n = static_cast<double>(model.elements);
  const auto iteration = [&](double density) {
    return compute_s(model) + top_k_s(n) + star.all_gather_s(8 * std::round(density * n));
  };
  const Json options{{"density", 0.001}, {"warm_up", {{"steps", 3}}}};
  const JobResult r = run("slgs-sgd", options, model, star, 20);
  double expected = 8 * iteration(0.001);
  for (const double density : {0.25, 0.0625, 0.015625, 0.004}) expected += 3 * iteration(density);
  EXPECT_NEAR(r.total_time_s, expected, kTight * expected);
  EXPECT_NEAR(r.iteration_time_s, iteration(0.001), kTight * expected);  // measured after it
  EXPECT_EQ(r.measured_from, 12);
}

TEST(SparseIdentity, DgcPaysOneTopKPerLayer) {
  const ModelShape model = random_model(16, 8);
  const Star star;
  const std::vector<double> densities(model.tensors.size(), 0.01);
  const double expected = recursion(forward_s(model), group_layers(model, 1, densities), star);
  const double time =
      run("dgc", {{"density", 0.01}, {"grouping", "none"}}, model, star, 3).iteration_time_s;
  EXPECT_NEAR(time, expected, kTight * expected);
}

// ---- adaptive density

SparsifyOptions read(const Json& json, const ModelShape& model) {
  ObjectReader reader(json, "test");
  return read_sparsify_options(reader, {&model, 0}, true);
}

SparsifyCosts star_costs(const Star& star) {
  BoundInputs in;
  in.workers = star.workers;
  in.all_gather_s = [star](double bytes) {
    return star.all_gather_s(bytes / static_cast<double>(star.workers));
  };
  SparsifyCosts costs(in, SparsifyOptions());
  costs.select_s = [](double n, double) { return top_k_s(n); };
  return costs;
}

TEST(SparseIdentity, AdaptiveDensityFillsTheNextLayersBackward) {
  const Star star;
  int free = 0, capped = 0;
  for (std::uint32_t seed = 20; seed < 30; ++seed) {
    const ModelShape model = random_model(seed, 12, 1e-2);
    const auto groups = sparse_groups(
        model, read({{"density", "adaptive"}, {"grouping", "none"}}, model), star_costs(star));
    ASSERT_EQ(groups.size(), 12u);
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const auto n = static_cast<double>(groups[i].elements);
      const double beside = i + 1 < 12 ? model.tensors[11 - i - 1].backward_s : 0;
      const auto cost = [&](double k) { return star.all_gather_s(8 * k) + top_k_s(n); };
      const double density = groups[i].k / n;
      if (groups[i].k > 0.001 * n + 1) {
        EXPECT_LE(cost(groups[i].k - 1), beside * (1 + 1e-9));
        ++free;
      } else {
        ++capped;
      }
      if (density < 1 && groups[i].k > 1) {
        EXPECT_GE(cost(groups[i].k + 1), beside * (1 - 1e-9));
      }
    }
  }
  EXPECT_GT(free, 10);
  EXPECT_GT(capped, 5);
}

TEST(SparseIdentity, OmgsGroupsAreNoSlowerThanNoGroupsWhereStartUpDominates) {
  const ModelShape model = random_model(31, 40, 1e-4);
  const Star star;
  const auto time = [&](const char* grouping) {
    return run("lags-sgd",
               {{"density", 0.001}, {"grouping", grouping}, {"selector", "radix_select"}}, model,
               star, 3)
        .iteration_time_s;
  };
  EXPECT_LT(time("omgs"), 0.9 * time("none"));
}

// ---- published rows

TEST(SparseIdentity, SMaxOfThePublishedRowsWithSparsificationAsTc) {
  const Json published =
      load_json(std::string(PACELINE_SOURCE_DIR) + "/calibrate/data/published/lags-2020.json");
  int rows = 0;
  for (const Json& row : published.at("rows")) {
    const double f = row.at("forward"), b = row.at("backward");
    const double s_max = row.at("S_max");
    const double as_script = lags_s_max(f, b, row.at("slgs").at("sparsify"));
    EXPECT_NEAR(as_script, s_max, 0.01) << row.at("model");
    // The equation as the paper prints it, 1 + 1/(t_f/min(t_c,t_b) + max(r, 1/r)).
    const double t_c = row.at("slgs").at("sparsify"), r = t_c / b;
    EXPECT_NEAR(as_script, 1 + 1 / (f / std::min(t_c, b) + std::max(r, 1 / r)), 1e-12);
    ++rows;
  }
  EXPECT_EQ(rows, 3);
}

}  // namespace
}  // namespace paceline
