#pragma once

#include <functional>
#include <string>
#include <vector>

#include "models/graph.hpp"

// The families of networks behind make_model(): one file each. A family fills a builder that
// carries the entry's name, title and notes.
namespace paceline::zoo {

struct Entry {
  std::string name;
  std::string title;
  std::string notes;
  std::vector<std::string> aliases;  ///< beyond spelling variants of `name`
  std::function<void(GraphBuilder&)> fill;
};
using Entries = std::vector<Entry>;

Entries small_networks();  ///< MLP, LeNet
Entries alexnets();
Entries vggs();
Entries resnets();
Entries cifar_resnets();
Entries googlenets();
Entries inceptions();
Entries densenets();
Entries lstms();
Entries berts();

}  // namespace paceline::zoo
