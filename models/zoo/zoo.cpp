#include "models/zoo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/error.hpp"
#include "models/model_options.hpp"
#include "models/zoo/families.hpp"

namespace paceline {
namespace {

const zoo::Entries& all_entries() {
  static const zoo::Entries entries = [] {
    zoo::Entries all;
    for (auto* family :
         {zoo::small_networks, zoo::alexnets, zoo::vggs, zoo::resnets, zoo::cifar_resnets,
          zoo::googlenets, zoo::inceptions, zoo::densenets, zoo::lstms, zoo::berts, zoo::gpts,
          zoo::llamas, zoo::vision_transformers, zoo::t5s, zoo::mobile_networks})
      for (zoo::Entry& entry : family()) all.push_back(std::move(entry));
    return all;
  }();
  return entries;
}

std::string plain(std::string_view name) {
  std::string result;
  for (const char c : name)
    if (c != '-' && c != '_' && c != ' ')
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string_view without_prefix(std::string_view name) {
  constexpr std::string_view kTorchvision = "torchvision.models.";
  return name.starts_with(kTorchvision) ? name.substr(kTorchvision.size()) : name;
}

void check_options(const zoo::Entry& entry, const NamedOptions& asked) {
  for (const auto& [key, value] : asked.options) {
    if (entry.options.empty())
      throw InputError(fmt::format("model '{}' takes no options", entry.name));
    if (std::find(entry.options.begin(), entry.options.end(), key) == entry.options.end())
      throw InputError(
          fmt::format("model '{}': {}", entry.name, unknown_name("option", key, entry.options)));
  }
}

bool answers_to(const zoo::Entry& entry, const std::string& wanted) {
  if (plain(entry.name) == wanted) return true;
  for (const std::string& alias : entry.aliases)
    if (plain(alias) == wanted) return true;
  return false;
}

}  // namespace

std::vector<ModelInfo> model_infos() {
  std::vector<ModelInfo> infos;
  for (const zoo::Entry& entry : all_entries())
    infos.push_back({entry.name, entry.title, entry.notes});
  return infos;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const zoo::Entry& entry : all_entries()) names.push_back(entry.name);
  return names;
}

Model make_model(std::string_view name) {
  const NamedOptions asked = split_options(name);
  const std::string wanted = plain(without_prefix(asked.name));
  for (const zoo::Entry& entry : all_entries()) {
    if (!answers_to(entry, wanted)) continue;
    check_options(entry, asked);
    const std::string options = options_text(asked.options);
    GraphBuilder builder(
        entry.name + options, entry.title,
        entry.notes + (options.empty() ? "" : fmt::format("; with {}", options.substr(1))));
    if (entry.fill_with)
      entry.fill_with(builder, zoo::Options(asked.options));
    else
      entry.fill(builder);
    return builder.build();
  }
  throw InputError(unknown_name("model", asked.name, model_names()));
}

}  // namespace paceline
