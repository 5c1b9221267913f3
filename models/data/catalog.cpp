#include "models/data/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "models/data/generated.hpp"
#include "models/data/readers.hpp"
#include "models/data/text.hpp"

namespace paceline {
namespace {

using Opened = std::unique_ptr<Dataset>;

GeneratedImages image_sizes(const DataOptions& options, GeneratedImages sizes) {
  sizes.train = options.train.value_or(sizes.train);
  sizes.test = options.test.value_or(sizes.test);
  sizes.seed = options.seed;
  return sizes;
}

struct Entry {
  const char* name;
  bool files;
  Opened (*open)(const DataOptions&);
  const char* sample = "";  // in words; "": its files say
};

const Entry kEntries[] = {
    {"digits", false, [](const DataOptions& o) { return make_digits(image_sizes(o, {})); },
     "values [1, 28, 28]"},
    {"textures", false,
     [](const DataOptions& o) { return make_textures(image_sizes(o, {.train = 50'000})); },
     "values [3, 32, 32]"},
    {"grammar", false,
     [](const DataOptions& o) {
       GrammarText sizes{.words = o.words, .steps = o.steps, .seed = o.seed};
       sizes.train_tokens = o.train.value_or(sizes.train_tokens);
       sizes.test_tokens = o.test.value_or(sizes.test_tokens);
       return make_grammar(sizes);
     }},
    {"mnist", true, [](const DataOptions& o) { return read_mnist(o.folder); },
     "values [1, 28, 28]"},
    {"fashion-mnist", true, [](const DataOptions& o) { return read_mnist(o.folder); },
     "values [1, 28, 28]"},
    {"cifar10", true, [](const DataOptions& o) { return read_cifar10(o.folder); },
     "values [3, 32, 32]"},
    {"cifar100", true, [](const DataOptions& o) { return read_cifar100(o.folder); },
     "values [3, 32, 32]"},
    {"ptb", true, [](const DataOptions& o) { return read_ptb(o.folder, o.steps); }},
    {"npy", true, [](const DataOptions& o) { return read_npy(o.folder); }},
};

const Operation& input_of(const Model& model) {
  for (const Operation& op : model.operations())
    if (op.is<InputOp>()) return op;
  throw InputError(fmt::format("model '{}' has no input for data", model.name()));
}

// "; --data textures, cifar10, cifar100" of those whose samples are so.
std::string sets_of(const std::string& sample) {
  std::string names;
  for (const Entry& entry : kEntries)
    if (entry.sample == sample) names += fmt::format("{}{}", names.empty() ? "" : ", ", entry.name);
  return names.empty() ? "" : "; --data " + names;
}

}  // namespace

std::vector<std::string> dataset_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kEntries) names.emplace_back(entry.name);
  return names;
}

Opened open_dataset(const DataOptions& options) {
  const auto* entry = std::find_if(std::begin(kEntries), std::end(kEntries),
                                   [&](const Entry& e) { return e.name == options.name; });
  if (entry == std::end(kEntries))
    throw InputError(unknown_name("data set", options.name, dataset_names()));
  if (entry->files && options.folder.empty())
    throw InputError(
        fmt::format("data set '{}' is read from files: name their folder (--data-folder FOLDER)",
                    options.name));
  if (!entry->files && !options.folder.empty())
    throw InputError(fmt::format("data set '{}' is generated: it reads no folder, found {}",
                                 options.name, options.folder.string()));
  if (entry->files && (options.train || options.test))
    throw InputError(
        fmt::format("data set '{}' has the size of its files: give no sizes", options.name));
  return entry->open(options);
}

void check_fits(const Model& model, const Dataset& data) {
  const Operation& input = input_of(model);
  const bool tokens = std::get<InputOp>(input.attributes).entries > 0;
  if (input.output_shape != data.sample_shape() || tokens != data.sequential())
    throw InputError(fmt::format(
        "model '{}' reads {} {}, but a sample of data set '{}' is {} {}{}", model.name(),
        tokens ? "tokens" : "values", shape_text(input.output_shape), data.name(),
        data.sequential() ? "tokens" : "values", shape_text(data.sample_shape()),
        sets_of(fmt::format("values {}", shape_text(input.output_shape)))));
  std::int64_t least = model.classes();
  if (tokens) least = std::min(least, std::get<InputOp>(input.attributes).entries);
  if (data.classes() > least)
    throw InputError(fmt::format("model '{}' has {} {}, but data set '{}' has {}", model.name(),
                                 least, tokens ? "words" : "classes", data.name(), data.classes()));
}

}  // namespace paceline
