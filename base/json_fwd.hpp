#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

namespace paceline {

/// JSON whose objects keep their order, so that what we write is stable byte for byte. Headers see
/// this declaration only: nlohmann/json itself is two seconds of every file that includes it.
using Json = nlohmann::ordered_json;

/// A Json that a struct in a header owns without seeing nlohmann/json. Copies are deep; a fresh one
/// holds an empty object; one moved from can only be assigned to.
class OwnedJson {
 public:
  OwnedJson();
  explicit OwnedJson(Json json);
  OwnedJson(const OwnedJson& other);
  OwnedJson(OwnedJson&& other) noexcept;
  OwnedJson& operator=(OwnedJson other) noexcept;
  ~OwnedJson();

  Json& operator*() { return *json_; }
  const Json& operator*() const { return *json_; }
  Json* operator->() { return json_.get(); }
  const Json* operator->() const { return json_.get(); }
  bool operator==(const OwnedJson& other) const;

 private:
  std::unique_ptr<Json> json_;
};

}  // namespace paceline
