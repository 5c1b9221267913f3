// The arithmetic of schedules has one home: whatever a schedule does to tensors stands in the list
// of kernels/operations under the name that its trace shows, and comes out as the reference there
// has it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "base/json.hpp"
#include "kernels/cpu_backend.hpp"
#include "kernels/operations/dct.hpp"
#include "kernels/operations/reference.hpp"
#include "kernels/operations/signs.hpp"
#include "kernels/operations/whole_vector.hpp"
#include "tests/algorithms/quadratics.hpp"

namespace paceline {
namespace {

using namespace simulated;
using testing::Contains;

// Every operation that was applied on it, each held against the reference on vectors of its own.
class WatchedBackend final : public kernels::CpuBackend {
 public:
  std::string name() const override { return "watched"; }
  std::string description() const override { return "for this test"; }
  std::unique_ptr<kernels::Layer> make_layer(const kernels::LayerShape&) override { return {}; }
  std::unique_ptr<kernels::Activation> make_activation(const kernels::Dims&) override { return {}; }
  void write(std::span<const float>, kernels::Activation&) override {}
  void read(const kernels::Activation&, std::span<float>) override {}
  void accumulate(const kernels::Activation&, kernels::Activation&) override {}

  void apply(const kernels::PointwiseCall& call, kernels::Inputs in,
             kernels::Outputs out) override {
    std::vector<std::vector<float>> before, expected;
    std::vector<std::span<const float>> from;
    std::vector<std::span<float>> to;
    for (const std::span<const float> x : in) before.emplace_back(x.begin(), x.end());
    for (const std::span<float> y : out) expected.emplace_back(y.size());
    from.assign(before.begin(), before.end());
    to.assign(expected.begin(), expected.end());
    kernels::reference::apply(call, from, to);
    CpuBackend::apply(call, in, out);
    for (std::size_t i = 0; i < out.size(); ++i)
      EXPECT_TRUE(std::equal(out[i].begin(), out[i].end(), expected[i].begin()))
          << call.info().name;
    const std::lock_guard lock(mutex_);
    applied_.emplace(call.info().name);
  }
  [[nodiscard]] const std::set<std::string>& applied() const { return applied_; }

 private:
  std::mutex mutex_;  // workers compute in parallel
  std::set<std::string> applied_;
};

struct Case {
  std::string name;
  Json options;
  std::vector<std::string> applies;  // its own operations, workers' and servers'
  Case(std::string n, Json o, std::vector<std::string> a)
      : name(std::move(n)), options(std::move(o)), applies(std::move(a)) {}
};

std::vector<Case> cases() {
  const Json none = Json::object(), density = {{"density", 0.1}};
  const std::string selected = "error_feedback_top_k";
  return {
      {"s-sgd", none, {}},
      {"ps-s-sgd", none, {"axpy"}},
      {"local-sgd", {{"period", 2}}, {}},
      {"stl-sgd", {{"period", 2}}, {}},
      {"pipe-sgd", none, {}},
      {"priority-sgd", none, {}},
      {"cocod-sgd", {{"period", 2}}, {"scale", "combine"}},
      {"overlap-local-sgd", none, {"scale", "combine"}},
      {"diloco", {{"period", 2}}, {"scale", "combine"}},
      {"streaming-diloco",
       {{"period", 4}, {"fragments", 2}, {"overlap", 1}},
       {"scale", "combine", "power_of_two_quantize"}},
      {"slgs-sgd", density, {selected, "scatter_add", "combine"}},
      {"lags-sgd", density, {selected, "scatter_add", "combine"}},
      {"gtop-k", density, {selected, "merge_top_k", "scatter_add", "combine"}},
      {"dgc", density, {selected, "mask_momentum", "scatter_add", "combine"}},
      {"power-sgd",
       none,
       {"low_rank_left", "low_rank_right", "orthonormalize", "low_rank_reconstruct", "combine"}},
      {"zero", none, {}},
      {"fsdp", none, {}},
      {"dear", none, {}},
      {"acco", {{"half", 2}}, {"scale", "combine", "adamw"}},
      {"sgp", none, {"scale", "combine"}},
      {"ad-psgd", none, {"combine"}},
      {"vrl-sgd", {{"period", 2}}, {"combine"}},
      {"easgd", {{"period", 2}}, {"scale", "combine"}},
      {"slowmo", {{"period", 2}}, {"scale", "combine"}},
      {"eager-diloco", {{"period", 2}}, {"scale", "combine"}},
      {"sparseloco", {{"period", 2}}, {"scale", "combine", "chunk_top_k", "scatter_add"}},
      {"signsgd", none, {"sign", "majority_vote"}},
      {"cltk", density, {"combine", "top_k", "split_by_mask"}},
      {"demo", none, {"combine", "dct_top_k", "scatter_add", "dct_sign"}},
      {"1-bit-adam",
       {{"freeze_step", 4}},
       {"adam_means", "adam_step", "combine", "sign_compress", "mean_of_blocks"}},
      {"asgd", none, {}},
      {"dc-asgd", none, {"delay_compensate"}},
      {"dc-asgd", {{"adaptive", true}}, {"delay_compensate_adaptive"}},
      {"od-sgd", {{"warm_up", 1}}, {"od_sgd_local_update"}},
      {"cd-sgd", {{"warm_up", 1}}, {"od_sgd_local_update", "two_bit_quantize"}}};
}

// What stands in traces of every schedule, beside operations: passes of the model, the optimiser,
// copies between host and device, and what moves values without a formula.
const std::set<std::string> kNoFormula{
    "forward",        "backward", "update",   "server update", "device to host",
    "host to device", "mean",     "put_back", "first_q",       "pack_vectors"};

std::set<std::string> in_trace(const Case& c) {
  const ModelShape model = small_model();
  Problem problem = Problem::random(static_cast<std::size_t>(model.elements));
  Recorder recorder;
  train(c.name, c.options, 12, model, std::make_shared<Quadratics>(problem, model), &recorder);
  std::stringstream text;
  recorder.write(text);
  std::set<std::string> names;
  const Json trace = parse_json(text.str(), "trace");
  for (const Json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("cat") == "step" ||
        event.at("tid").get<std::uint32_t>() >= Recorder::communication)
      continue;
    std::string name = event.at("name");
    if (const auto tensor = name.find(" layer"); tensor != std::string::npos) name.resize(tensor);
    names.insert(name);
  }
  return names;
}

TEST(Operations, CasesNameEverySchedule) {
  std::set<std::string> tested;
  for (const Case& c : cases()) tested.insert(c.name);
  for (const ScheduleEntry& entry : schedules()) EXPECT_THAT(tested, Contains(entry.name));
}

TEST(Operations, OfEveryScheduleStandInTheList) {
  std::set<std::string> listed;
  for (const std::string_view name :
       {kernels::PowerOfTwoQuantize::name, kernels::Sign::name, kernels::MajorityVote::name,
        kernels::MeanOfBlocks::name, kernels::SignCompress::name, kernels::ChunkTopK::name,
        kernels::AdamMeans::name, kernels::AdamStep::name, kernels::SplitByMask::name,
        kernels::DctTopK::name, kernels::DctSign::name})
    listed.emplace(name);
  for (const kernels::OperationInfo& info : kernels::kOperations) listed.emplace(info.name);
  for (const Case& c : cases()) {
    const std::set<std::string> names = in_trace(c);
    for (const std::string& own : c.applies) EXPECT_THAT(names, Contains(own)) << c.name;
    for (const std::string& name : names)
      EXPECT_TRUE(listed.contains(name) || kNoFormula.contains(name)) << c.name << ": " << name;
  }
}

TEST(Operations, OnWorkersComeOutAsTheReferenceHasThem) {
  const ModelShape model = small_model();
  const Problem problem = Problem::random(static_cast<std::size_t>(model.elements));
  std::set<std::string> applied;
  for (const Case& c : cases()) {
    WatchedBackend backend;
    const auto watched = std::make_shared<Quadratics>(problem, model, &backend);
    const auto plain = std::make_shared<Quadratics>(problem, model);
    train(c.name, c.options, 12, model, watched);
    train(c.name, c.options, 12, model, plain);
    EXPECT_EQ(watched->last, plain->last) << c.name;
    applied.insert(backend.applied().begin(), backend.applied().end());
  }
  EXPECT_THAT(applied, testing::IsSupersetOf({"scale", "combine", "mask_momentum"}));
}

}  // namespace
}  // namespace paceline
