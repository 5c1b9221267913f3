#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "models/graph.hpp"

// The families of networks behind make_model(): one file each. A family fills a builder that
// carries the entry's name, title and notes.
namespace paceline::zoo {

/// What a name's options say: "bert-large:seq=64".
class Options {
 public:
  explicit Options(std::map<std::string, std::int64_t> given = {}) : given_(std::move(given)) {}
  [[nodiscard]] std::int64_t get(const std::string& key, std::int64_t fallback) const {
    const auto found = given_.find(key);
    return found == given_.end() ? fallback : found->second;
  }

 private:
  std::map<std::string, std::int64_t> given_;
};

struct Entry {
  std::string name;
  std::string title;
  std::string notes;
  std::vector<std::string> aliases;  ///< beyond spelling variants of `name`
  std::function<void(GraphBuilder&)> fill = {};
  /// Of one that takes options, instead of `fill`, and which ones.
  std::function<void(GraphBuilder&, const Options&)> fill_with = {};
  std::vector<std::string> options = {};
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
Entries gpts();
Entries llamas();
Entries vision_transformers();
Entries t5s();
Entries mobile_networks();  ///< MobileNet, EfficientNet, SqueezeNet

}  // namespace paceline::zoo
