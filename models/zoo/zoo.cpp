#include "models/zoo.hpp"

#include <cctype>
#include <utility>

#include "base/error.hpp"
#include "models/zoo/families.hpp"

namespace paceline {
namespace {

const zoo::Entries& all_entries() {
  static const zoo::Entries entries = [] {
    zoo::Entries all;
    for (auto* family :
         {zoo::small_networks, zoo::alexnets, zoo::vggs, zoo::resnets, zoo::cifar_resnets,
          zoo::googlenets, zoo::inceptions, zoo::densenets, zoo::lstms, zoo::berts})
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
  for (const zoo::Entry& entry : all_entries()) {
    if (!answers_to(entry, plain(name))) continue;
    GraphBuilder builder(entry.name, entry.title, entry.notes);
    entry.fill(builder);
    return builder.build();
  }
  throw InputError(unknown_name("model", name, model_names()));
}

}  // namespace paceline
