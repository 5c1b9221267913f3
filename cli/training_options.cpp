#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "base/error.hpp"
#include "base/json.hpp"
#include "kernels/backend.hpp"
#include "options.hpp"

namespace paceline {
namespace {

// Of a section that may be a name alone: "digits" or {"name": "digits", ...}.
Json& section(Json& training, const char* key, const char* name) {
  Json& value = training[key];
  if (value.is_null()) value = Json::object();
  if (!value.is_object()) value = Json{{name, Json(value)}};
  return value;
}

// "accuracy=0.9".
double accuracy_of(const std::string& until) {
  constexpr std::string_view kKey = "accuracy=";
  double accuracy = -1;
  if (until.starts_with(kKey))
    if (const auto end = until.data() + until.size();
        std::from_chars(until.data() + kKey.size(), end, accuracy).ptr != end)
      accuracy = -1;
  if (!(accuracy >= 0 && accuracy <= 1))
    throw InputError(fmt::format(
        "--until '{}': expected accuracy= with a share from 0 to 1: accuracy=0.9", until));
  return accuracy;
}

}  // namespace

void ExperimentOptions::add_training_flags(CLI::App& command) {
  const char* group = "Training on real values (each asks for it)";
  const auto flag = [&](const char* name, auto& value, const char* help) {
    CLI::Option* option = command.add_option(name, value, help);
    option->group(group);
    if constexpr (std::is_same_v<decltype(value), std::optional<std::int64_t>&>)
      option->transform(whole_number());
  };
  command.add_flag("--numerics", numerics_, "train real values beside the time")->group(group);
  flag("--data", data_,
       "data set: digits, textures, grammar, mnist, fashion-mnist, cifar10, cifar100, ptb, npy "
       "(digits)");
  flag("--data-folder", data_folder_, "where the data set's files are");
  flag("--lr", learning_rate_, "learning rate, the base of its schedule (0.05)");
  flag("--momentum", momentum_, "(0.9)");
  command.add_flag("--nesterov", nesterov_, "Nesterov's momentum")->group(group);
  command.add_flag("--augment", augment_, "shift and mirror the training images")->group(group);
  flag("--sharding", sharding_, "iid, dirichlet or by_label (iid)");
  flag("--alpha", alpha_, "of Dirichlet sharding: small is uneven (0.5)");
  flag("--evaluate-every", evaluate_every_, "steps between evaluations (a tenth of them)");
  flag("--target", target_, "accuracy whose date is asked for: 0.9");
  flag("--until", until_,
       "end with the first evaluation that reaches this: accuracy=0.9 (at most --steps)");
  flag("--backend", backend_, "kernels on the CPU: reference or onednn (the fastest)");
  flag("--device", device_, "what computes the values: cpu or cuda:N (cpu)");
  flag("--threads", threads_, "of this machine; changes no result (all cores)");
}

void ExperimentOptions::put_training(Json& job) const {
  const bool asked = numerics_ || nesterov_ || augment_ || data_ || data_folder_ || sharding_ ||
                     backend_ || device_ || learning_rate_ || momentum_ || alpha_ || target_ ||
                     threads_ || evaluate_every_ || until_;
  if (!asked) return;
  Json& training = job["training"];
  if (training.is_null()) training = Json::object();
  if (!training.is_object()) return;  // the reader says what is wrong
  if (data_) section(training, "data", "name")["name"] = *data_;
  if (data_folder_) section(training, "data", "name")["folder"] = *data_folder_;
  if (learning_rate_) section(training, "learning_rate", "base")["base"] = *learning_rate_;
  if (sharding_) section(training, "sharding", "kind")["kind"] = *sharding_;
  if (alpha_) section(training, "sharding", "kind")["alpha"] = *alpha_;
  put(training, "momentum", momentum_);
  if (nesterov_) training["nesterov"] = true;
  if (augment_) training["augment"] = true;
  put(training, "evaluate_every", evaluate_every_);
  put(training, "target", target_);
  if (until_) training["until_accuracy"] = accuracy_of(*until_);
  put(training, "backend", backend_);
  if (device_ && *device_ != "cpu") {
    if (kernels::cuda_device_number(*device_) < 0)
      throw InputError(unknown_name("device", *device_, {"cpu", "cuda", "cuda:0"}));
    if (backend_) throw InputError("--backend: only a CPU has several; leave it out with --device");
    training["backend"] = *device_;
  }
  put(training, "threads", threads_);
}

}  // namespace paceline
