#include "calibrate/network/link.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/text_file.hpp"
#include "base/units.hpp"
#include "platforms/topology.hpp"

namespace paceline {
namespace {

// Steps of a ring of the log's ranks, and the share of the bytes that each link carries in all.
struct Ring {
  double steps = 1, share = 1;
};

Ring ring_of(const MessageLog& log) {
  if (log.kind != MessagePattern::all_reduce && log.kind != MessagePattern::all_gather) return {};
  if (!log.ranks || *log.ranks < 2)
    throw InputError(fmt::format("{}: of how many ranks is this {}? give --ranks (2 or more)",
                                 log.source, to_string(log.kind)));
  const double rounds = log.kind == MessagePattern::all_reduce ? 2 : 1;
  const double steps = rounds * (*log.ranks - 1);
  return {steps, steps / *log.ranks};
}

TransferSegment law_of(const FittedLog& fitted) {
  const TransferSegment law = best_single_law(fitted.fit, fitted.log.samples);
  if (law.beta_s_per_byte <= 0)
    throw InputError(
        fmt::format("{}: the times do not grow with the size, so they say nothing of the bandwidth",
                    fitted.log.source));
  return law;
}

FittedLink bandwidth_alone(const TransferSegment& law) {
  FittedLink link;
  link.overhead_s = law.alpha_s;
  link.bandwidth = 1 / law.beta_s_per_byte;
  link.law = law;
  link.bandwidth_only = law.from_bytes == law.to_bytes;
  link.derivation =
      link.bandwidth_only
          ? fmt::format("{}; says nothing of latency and overhead",
                        format_bandwidth(link.bandwidth))
          : fmt::format("many messages in flight: {} each, {}; says nothing of the latency",
                        format_duration(link.overhead_s), format_bandwidth(link.bandwidth));
  return link;
}

// Removes `subjects` from the sources; a source that also speaks of others keeps those.
void forget_sources(std::map<std::string, std::string>& sources,
                    const std::vector<std::string>& subjects) {
  std::map<std::string, std::string> kept;
  for (const auto& [key, source] : sources) {
    std::vector<std::string> parts;
    for (std::size_t from = 0; from <= key.size();) {
      const std::size_t comma = std::min(key.find(',', from), key.size());
      const std::string part(trimmed(std::string_view(key).substr(from, comma - from)));
      if (std::find(subjects.begin(), subjects.end(), part) == subjects.end())
        parts.push_back(part);
      from = comma + 1;
    }
    if (!parts.empty()) kept[fmt::format("{}", fmt::join(parts, ", "))] = source;
  }
  sources = std::move(kept);
}

/// One class of link of a cluster, whatever struct holds it.
struct LinkFields {
  double &bandwidth, &latency, &overhead, &efficiency;
};

// Returns whether the line rate had to grow.
bool put_link(LinkFields fields, const FittedLink& link, double cables) {
  if (link.latency_s) fields.latency = *link.latency_s / cables;
  if (!link.bandwidth_only) fields.overhead = link.overhead_s;
  const double line =
      std::isinf(fields.bandwidth) ? link.bandwidth : std::max(fields.bandwidth, link.bandwidth);
  const bool grown = line != fields.bandwidth;
  fields.bandwidth = line;
  fields.efficiency = std::min(1.0, link.bandwidth / line);
  return grown;
}

// The NICs that what one GPU sends goes through together: all where there is NVLink (cluster.cpp).
std::size_t ports_of_a_message(const ClusterSpec& spec) {
  const bool all = std::all_of(spec.nodes.begin(), spec.nodes.end(), [](const NodeGroup& group) {
    return group.gpus == 0 || group.nvlink;
  });
  return all ? spec.network.topology.description().rails() : 1;
}

void put_network(ClusterSpec& base, const FittedLink& link, const std::string& text) {
  NetworkSpec& network = base.network;
  if (!network.topology.platform_file().empty())
    throw InputError(fmt::format(
        "{}: $.network.topology: the SimGrid platform file brings its own latencies and "
        "bandwidths; a fit cannot replace them (--link pcie and nvlink can)",
        base.file));
  FittedLink port = link;
  port.bandwidth /= static_cast<double>(ports_of_a_message(base));
  const bool grown =
      put_link({network.bandwidth, network.latency, network.overhead, network.efficiency}, port, 1);
  std::vector<std::string> subjects;
  if (grown) subjects.push_back("network.bandwidth");
  if (link.latency_s) subjects.push_back("network.latency");
  if (!link.bandwidth_only) subjects.push_back("network.overhead");
  subjects.push_back("network.efficiency");
  if (const auto all = base.sources.extract("network"); !all.empty()) {
    std::vector<std::string> rest{"network.topology"};
    if (!link.latency_s) rest.insert(rest.begin(), "network.latency");
    if (link.bandwidth_only) rest.insert(rest.begin(), "network.overhead");
    if (!grown) rest.insert(rest.begin(), "network.bandwidth");
    base.sources[fmt::format("{}", fmt::join(rest, ", "))] = all.mapped();
  }
  forget_sources(base.sources, subjects);
  base.sources[fmt::format("{}", fmt::join(subjects, ", "))] = text;
}

void put_inside(ClusterSpec& base, const FittedLink& link, LinkClass link_class,
                const std::string& text) {
  const std::string name = link_class == LinkClass::pcie ? "pcie" : "nvlink";
  bool found = false;
  for (NodeGroup& group : base.nodes) {
    if (group.gpus == 0 || (link_class == LinkClass::nvlink && !group.nvlink)) continue;
    LinkSpec& spec = link_class == LinkClass::pcie ? group.pcie : *group.nvlink;
    put_link({spec.bandwidth, spec.latency, spec.overhead, spec.efficiency}, link, 2);
    // What the log was measured over went through the roots, too.
    if (link_class == LinkClass::pcie) group.roots.reset();
    found = true;
  }
  if (!found)
    throw InputError(
        fmt::format("{}: $.nodes: there is no {} whose links could be fitted; give the base one",
                    base.file, link_class == LinkClass::pcie ? "GPU" : "nvlink"));
  std::vector<std::string> subjects{"nodes." + name};
  if (link_class == LinkClass::pcie) subjects.emplace_back("nodes.roots");
  forget_sources(base.sources, subjects);
  base.sources["nodes." + name] = text;
}

}  // namespace

FittedLink link_of(const FittedLog& fitted, const FittedLog* bandwidth) {
  const TransferSegment law = law_of(fitted);
  if (fitted.log.kind == MessagePattern::bandwidth) return bandwidth_alone(law);
  const Ring ring = ring_of(fitted.log);
  FittedLink link;
  link.law = law;
  link.latency_s = law.alpha_s / ring.steps;
  link.bandwidth = ring.share / law.beta_s_per_byte;
  link.derivation = fmt::format(
      "{}{} and {}", ring.steps > 1 ? fmt::format("read as a ring of {} steps, ", ring.steps) : "",
      format_duration(*link.latency_s), format_bandwidth(link.bandwidth));
  if (bandwidth != nullptr) {
    const TransferSegment many = law_of(*bandwidth);
    link.bandwidth = 1 / many.beta_s_per_byte;
    link.overhead_s = std::min(many.alpha_s, *link.latency_s);
    *link.latency_s -= link.overhead_s;
    link.derivation +=
        fmt::format("; many messages in flight: {} each, {}", format_duration(link.overhead_s),
                    format_bandwidth(link.bandwidth));
    link.law.beta_s_per_byte = ring.share / link.bandwidth;
    link.law = with_errors(link.law, fitted.log.samples);
  }
  return link;
}

double seconds_over(const FittedLink& link, const MessageLog& log, double bytes) {
  if (log.kind == MessagePattern::bandwidth) return link.overhead_s + bytes / link.bandwidth;
  const Ring ring = ring_of(log);
  return ring.steps * (link.latency_s.value_or(0) + link.overhead_s) +
         ring.share * bytes / link.bandwidth;
}

double mean_error_over(const FittedLink& link, const MessageLog& log) {
  double sum = 0;
  for (const MessageSample& sample : log.samples)
    sum += std::abs(seconds_over(link, log, sample.bytes) / sample.seconds - 1);
  return log.samples.empty() ? 0 : sum / static_cast<double>(log.samples.size());
}

ClusterSpec with_link(ClusterSpec base, const FittedLink& link, LinkClass link_class,
                      const std::string& name, const std::string& source) {
  const std::string text =
      link.law.points == 0
          ? fmt::format("published fit: {}; {}", source, link.derivation)
          : fmt::format(
                "measured: {}; {}; one alpha and one beta miss the log by {:.1f} % on average",
                source, link.derivation, 100 * link.law.mean_error);
  if (link_class == LinkClass::network)
    put_network(base, link, text);
  else
    put_inside(base, link, link_class, text);
  const char* what = link_class == LinkClass::network ? "network"
                     : link_class == LinkClass::pcie  ? "PCIe"
                                                      : "NVLink";
  base.description = fmt::format("{}{}{} fitted to {}", base.description,
                                 base.description.empty() ? "" : "; ", what, source);
  base.name = name;
  validate(base);
  return base;
}

}  // namespace paceline
