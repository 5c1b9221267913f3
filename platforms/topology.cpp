#include "platforms/topology.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <stdexcept>

#include "base/error.hpp"
#include "base/json.hpp"
#include "platforms/cluster_file.hpp"

namespace paceline {

namespace {

constexpr std::size_t kMostLinks = 1 << 24;

/// One switch that never blocks: only the ports limit.
class Star final : public Topology {
 public:
  [[nodiscard]] std::string switch_of(std::size_t) const override { return "switch"; }
  void append_route(std::size_t, std::size_t, Route&) const override {}
  [[nodiscard]] double bisection_bandwidth() const override { return kInfinity; }
};

class StarDescription final : public TopologyDescription {
 public:
  [[nodiscard]] std::string kind() const override { return "star"; }
  [[nodiscard]] Json write() const override { return Json::object(); }
  void check(const TopologyChecker&) const override {}
  [[nodiscard]] std::unique_ptr<Topology> build(const ClusterSpec&, LinkTable&) const override {
    return std::make_unique<Star>();
  }
};

/// A SimGrid platform file: the simulator's.
class XmlDescription final : public TopologyDescription {
 public:
  explicit XmlDescription(std::string file) : file_(std::move(file)) {}
  [[nodiscard]] std::string kind() const override { return "xml"; }
  [[nodiscard]] Json write() const override {
    return {{"file", std::filesystem::absolute(file_).string()}};
  }
  void check(const TopologyChecker& checker) const override {
    if (file_.empty()) checker.fail("file", "names no file");
  }
  [[nodiscard]] std::unique_ptr<Topology> build(const ClusterSpec& spec,
                                                LinkTable&) const override {
    throw InputError(spec.file + ": $.network.topology: a SimGrid XML platform ('" + file_ +
                     "') is loaded by the simulator; it has no links and routes without it");
  }
  [[nodiscard]] std::string platform_file() const override { return file_; }

 private:
  std::string file_;
};

}  // namespace

extern const TopologyEntry kStar{"star", 1,
                                 [](ObjectReader&) -> std::shared_ptr<const TopologyDescription> {
                                   return std::make_shared<StarDescription>();
                                 }};
extern const TopologyEntry kXml{
    "xml", 9, [](ObjectReader& fields) -> std::shared_ptr<const TopologyDescription> {
      const std::filesystem::path folder = std::filesystem::path(fields.file()).parent_path();
      return std::make_shared<XmlDescription>((folder / fields.string("file")).string());
    }};

TopologySpec::TopologySpec() : description_(std::make_shared<StarDescription>()) {}

TopologySpec::TopologySpec(std::shared_ptr<const TopologyDescription> description)
    : description_(std::move(description)) {}

std::string TopologySpec::kind() const {
  return description_->kind();
}

std::string TopologySpec::platform_file() const {
  return description_->platform_file();
}

bool TopologySpec::operator==(const TopologySpec& other) const {
  return kind() == other.kind() && description_->write() == other.description_->write();
}

TopologySpec read_topology(ObjectReader reader) {
  std::vector<std::string> kinds;
  for (const TopologyEntry* entry : topology_entries()) kinds.emplace_back(entry->kind);
  const std::string kind = reader.choice("kind", kinds);
  for (const TopologyEntry* entry : topology_entries())
    if (entry->kind == kind) {
      TopologySpec topology(entry->read(reader));
      reader.finish();
      return topology;
    }
  throw std::logic_error("no topology " + kind);
}

Json write_topology(const TopologySpec& topology) {
  Json json{{"kind", topology.kind()}};
  const Json fields = topology.description().write();
  for (const auto& [key, value] : fields.items()) json[key] = value;
  return json;
}

std::optional<double> optional_bandwidth(ObjectReader& reader, std::string_view key) {
  if (!reader.has(key)) return std::nullopt;
  return reader.bandwidth(key);
}

std::size_t size_of(ObjectReader& reader, std::string_view key) {
  return static_cast<std::size_t>(reader.integer(key, 1, INT32_MAX));
}

std::vector<std::size_t> sizes_of(ObjectReader& reader, std::string_view key) {
  std::vector<std::size_t> result;
  for (const std::int64_t value : reader.integers(key)) {
    if (value < 0)
      reader.fail_at(key, fmt::format("expected whole numbers of 0 or more, found {}", value));
    result.push_back(static_cast<std::size_t>(value));
  }
  return result;
}

void TopologyChecker::fail(const std::string& key, const std::string& message) const {
  fail_(key.empty() ? "network.topology" : "network.topology." + key, message);
}

void TopologyChecker::bandwidth(const std::string& key, const std::optional<double>& value) const {
  if (value && !(*value >= kLeastBandwidth))
    fail(key, fmt::format("must be at least 1 bit per second, found {} B/s", *value));
}

void TopologyChecker::places(const std::string& key,
                             const std::vector<std::size_t>& factors) const {
  double product = 1;
  std::string text;
  for (const std::size_t factor : factors) {
    product *= static_cast<double>(factor);
    text += fmt::format("{}{}", text.empty() ? "" : " x ", factor);
  }
  if (product != static_cast<double>(nodes_))
    fail(key, fmt::format("{} = {} places for {} nodes", text, product, nodes_));
}

void TopologyChecker::links(std::size_t count) const {
  if (count > kMostLinks)
    fail("", fmt::format("needs {} links; the limit is {}", count, kMostLinks));
}

Lane LinkTable::add(std::string name, LinkKind kind, double bandwidth, double latency) {
  if (std::isinf(bandwidth)) return {Lane::kNoLink, latency};
  links_.push_back({std::move(name), kind, bandwidth, latency});
  return {static_cast<LinkId>(links_.size() - 1), latency};
}

}  // namespace paceline
