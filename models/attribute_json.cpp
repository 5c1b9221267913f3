#include "models/attribute_json.hpp"

#include <fmt/format.h>

#include <cmath>

namespace paceline {
namespace {

constexpr std::int64_t kMost = 1'000'000'000;

Extent read_extent(ObjectReader& reader, const char* key, std::optional<Extent> fallback,
                   std::int64_t least) {
  if (fallback && !reader.has(key)) return *fallback;
  if (!reader.raw(key).is_array()) return {reader.integer(key, least, kMost)};
  const std::vector<std::int64_t> sizes = reader.integers(key);
  if (sizes.size() != 2) reader.fail_at(key, "expected one whole number or [height, width]");
  for (const std::int64_t size : sizes)
    if (size < least || size > kMost)
      reader.fail_at(key, fmt::format("must be between {} and {}, found {}", least, kMost, size));
  return {sizes[0], sizes[1]};
}

/// Reads each attribute under its own name; what the default cannot be is required.
struct Reader {
  ObjectReader& r;

  void operator()(std::monostate&) const {}
  void operator()(InputAttributes& a) const {
    a.shape = r.integers("shape");
    a.entries = r.integer_or("entries", a.entries, 0, kMost);
  }
  void operator()(ConvAttributes& a) const {
    a.channels = r.integer("channels", 1, kMost);
    a.kernel = read_extent(r, "kernel", {}, 1);
    a.stride = read_extent(r, "stride", a.stride, 1);
    a.padding = read_extent(r, "padding", a.padding, 0);
    a.groups = r.integer_or("groups", a.groups, 1, kMost);
    a.bias = r.boolean("bias", a.bias);
  }
  void operator()(DenseAttributes& a) const {
    a.features = r.integer("features", 1, kMost);
    a.bias = r.boolean("bias", a.bias);
    a.tied_to = r.string("tied_to", a.tied_to);
  }
  void operator()(NormAttributes& a) const {
    a.epsilon = r.number("epsilon", 1e-30, 1, a.epsilon);
    a.momentum = r.number("momentum", 0, 1, a.momentum);
  }
  void operator()(PoolAttributes& a) const {
    a.kernel = read_extent(r, "kernel", {}, 1);
    a.stride = read_extent(r, "stride", a.stride, 1);
    a.padding = read_extent(r, "padding", a.padding, 0);
    a.ceil_mode = r.boolean("ceil_mode", a.ceil_mode);
    a.count_padding = r.boolean("count_padding", a.count_padding);
  }
  void operator()(LrnAttributes& a) const {
    a.size = r.integer_or("size", a.size, 1, kMost);
    a.alpha = r.number("alpha", 0, HUGE_VAL, a.alpha);
    a.beta = r.number("beta", 0, HUGE_VAL, a.beta);
    a.k = r.number("k", 0, HUGE_VAL, a.k);
  }
  void operator()(DropoutAttributes& a) const { a.p = r.number("p", 0, 1, a.p); }
  void operator()(SubsampleAttributes& a) const {
    a.channels = r.integer("channels", 1, kMost);
    a.stride = r.integer_or("stride", a.stride, 1, kMost);
  }
  void operator()(EmbeddingAttributes& a) const {
    a.entries = r.integer("entries", 1, kMost);
    a.features = r.integer("features", 1, kMost);
  }
  void operator()(LstmAttributes& a) const {
    a.hidden = r.integer("hidden", 1, kMost);
    a.biases = r.integer_or("biases", a.biases, 0, 2);
  }
  void operator()(AttentionAttributes& a) const {
    a.heads = r.integer("heads", 1, kMost);
    a.dropout = r.number("dropout", 0, 1, a.dropout);
    a.causal = r.boolean("causal", a.causal);
  }
  void operator()(LossAttributes& a) const { a.weight = r.number("weight", 0, HUGE_VAL, a.weight); }
  void operator()(OpaqueAttributes& a) const {
    const double elements = r.count("elements");
    if (elements < 1 || elements > 1e12 || elements != std::floor(elements))
      r.fail_at("elements",
                fmt::format("expected a whole number from 1 to 1e12, found {}", elements));
    a.elements = static_cast<std::int64_t>(elements);
    a.flops = r.count("flops", a.flops);
    a.bytes = r.bytes("bytes", a.bytes);
  }
};

Json extent_json(Extent extent) {
  if (extent.height == extent.width) return extent.height;
  return Json::array({extent.height, extent.width});
}
Json plain_json(const auto& value) {
  return value;
}
Json plain_json(const Extent& value) {
  return extent_json(value);
}

struct Writer {
  Json& json;

  template <class T>
  void differing(const char* key, const T& value, const T& standard) const {
    if (!(value == standard)) json[key] = plain_json(value);
  }

  void operator()(const std::monostate&) const {}
  void operator()(const InputAttributes& a) const {
    json["shape"] = a.shape;
    differing("entries", a.entries, InputAttributes{}.entries);
  }
  void operator()(const ConvAttributes& a) const {
    const ConvAttributes standard;
    json["channels"] = a.channels;
    json["kernel"] = extent_json(a.kernel);
    differing("stride", a.stride, standard.stride);
    differing("padding", a.padding, standard.padding);
    differing("groups", a.groups, standard.groups);
    differing("bias", a.bias, standard.bias);
  }
  void operator()(const DenseAttributes& a) const {
    const DenseAttributes standard;
    json["features"] = a.features;
    differing("bias", a.bias, standard.bias);
    differing("tied_to", a.tied_to, standard.tied_to);
  }
  void operator()(const NormAttributes& a) const {
    const NormAttributes standard;
    differing("epsilon", a.epsilon, standard.epsilon);
    differing("momentum", a.momentum, standard.momentum);
  }
  void operator()(const PoolAttributes& a) const {
    const PoolAttributes standard;
    json["kernel"] = extent_json(a.kernel);
    differing("stride", a.stride, standard.stride);
    differing("padding", a.padding, standard.padding);
    differing("ceil_mode", a.ceil_mode, standard.ceil_mode);
    differing("count_padding", a.count_padding, standard.count_padding);
  }
  void operator()(const LrnAttributes& a) const {
    const LrnAttributes standard;
    differing("size", a.size, standard.size);
    differing("alpha", a.alpha, standard.alpha);
    differing("beta", a.beta, standard.beta);
    differing("k", a.k, standard.k);
  }
  void operator()(const DropoutAttributes& a) const { json["p"] = a.p; }
  void operator()(const SubsampleAttributes& a) const {
    json["channels"] = a.channels;
    differing("stride", a.stride, SubsampleAttributes{}.stride);
  }
  void operator()(const EmbeddingAttributes& a) const {
    json["entries"] = a.entries;
    json["features"] = a.features;
  }
  void operator()(const LstmAttributes& a) const {
    json["hidden"] = a.hidden;
    differing("biases", a.biases, LstmAttributes{}.biases);
  }
  void operator()(const AttentionAttributes& a) const {
    const AttentionAttributes standard;
    json["heads"] = a.heads;
    differing("dropout", a.dropout, standard.dropout);
    differing("causal", a.causal, standard.causal);
  }
  void operator()(const LossAttributes& a) const {
    differing("weight", a.weight, LossAttributes{}.weight);
  }
  void operator()(const OpaqueAttributes& a) const {
    json["elements"] = a.elements;
    if (a.flops > 0) json["flops"] = a.flops;
    if (a.bytes > 0) json["bytes"] = fmt::format("{}B", a.bytes);
  }
};

}  // namespace

Attributes read_attributes(ObjectReader& reader, OpKind kind) {
  Attributes attributes = default_attributes(kind);
  std::visit(Reader{reader}, attributes);
  return attributes;
}

void write_attributes(Json& json, const Attributes& attributes) {
  std::visit(Writer{json}, attributes);
}

}  // namespace paceline
