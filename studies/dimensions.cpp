#include "studies/dimensions.hpp"

#include <fmt/format.h>

#include <numeric>
#include <random>

#include "base/error.hpp"
#include "experiments/axis_values.hpp"

namespace paceline {
namespace {

// {"label": ..., "value": ...}, a text as the command line has it, or any JSON.
Variant variant_of(const AxisField& field, const Json& item) {
  if (item.is_object() && item.contains("value")) {
    const Json& value = item.at("value");
    Variant variant = field.variant(value.is_string() ? value.get<std::string>() : value.dump());
    if (item.contains("label") && item.at("label").is_string())
      variant.label = item.at("label").get<std::string>();
    return variant;
  }
  return field.variant(item.dump());
}

Dimension read_axis(ObjectReader& r, std::size_t fine) {
  const std::string name = r.string("axis"), where = r.file() + ": " + r.path() + ".values";
  Dimension dimension{{name}, {}};
  if (r.has("variants")) {
    Json vary{{"vary", Json::array({Json{{"axis", name}, {"variants", r.raw("variants")}}})}};
    r.finish();
    return dimension_of(read_axes(vary, r.file()).front());
  }
  const AxisField field(r.string("field", name),
                        r.file() + ": " + r.path() + (r.has("field") ? ".field" : ".axis"));
  const auto add = [&](const Variant& variant) {
    dimension.rows.push_back({{variant.label}, {variant.keys}});
  };
  const Json& values = r.raw("values");
  Json list = Json::array();
  if (values.is_array())
    list = values;
  else
    list.push_back(values);
  for (const Json& item : list) {
    if (!item.is_string()) {
      add(variant_of(field, item));
      continue;
    }
    for (const std::string& text : values_of_text(item.get<std::string>(), where, fine))
      add(field.variant(text));
  }
  if (dimension.rows.empty()) r.fail_at("values", "an empty list, 0 values");
  r.finish();
  return dimension;
}

SampledAxis read_sampled(ObjectReader& r) {
  SampledAxis axis{r.string("axis"), "", ""};
  axis.field = r.string("field", axis.name);
  const Json& values = r.raw("values");
  if (values.is_array())
    for (const Json& item : values)
      axis.values += (axis.values.empty() ? "" : ",") +
                     (item.is_string() ? item.get<std::string>() : item.dump());
  else
    axis.values = r.string("values");
  r.finish();
  return axis;
}

// The same on every machine: the generator's bits are the standard's, std::shuffle's use of them is not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : bits_(seed) {}
  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }
  std::vector<std::uint64_t> permutation(std::uint64_t count) {
    std::vector<std::uint64_t> order(count);
    std::iota(order.begin(), order.end(), 0U);
    for (std::size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[static_cast<std::size_t>(uniform() * static_cast<double>(i))]);
    return order;
  }

 private:
  std::mt19937_64 bits_;
};

}  // namespace

Dimension dimension_of(const Axis& axis) {
  Dimension dimension{{axis.name}, {}};
  for (const Variant& variant : axis.variants)
    dimension.rows.push_back({{variant.label}, {variant.keys}});
  return dimension;
}

Dimension zipped(const std::vector<Dimension>& axes, const std::string& where) {
  Dimension all;
  for (const Dimension& axis : axes) {
    if (axis.rows.size() != axes.front().rows.size())
      throw InputError(fmt::format(
          "{}: axes that go together have equally many values, and '{}' has {}, '{}' {}", where,
          axes.front().axes.front(), axes.front().rows.size(), axis.axes.front(),
          axis.rows.size()));
    all.axes.insert(all.axes.end(), axis.axes.begin(), axis.axes.end());
    all.rows.resize(axis.rows.size());
    for (std::size_t i = 0; i < axis.rows.size(); ++i) {
      all.rows[i].labels.insert(all.rows[i].labels.end(), axis.rows[i].labels.begin(),
                                axis.rows[i].labels.end());
      all.rows[i].keys.insert(all.rows[i].keys.end(), axis.rows[i].keys.begin(),
                              axis.rows[i].keys.end());
    }
  }
  return all;
}

Dimension latin_hypercube(const std::vector<SampledAxis>& axes, std::uint64_t count,
                          std::uint64_t seed, const std::string& where) {
  if (static_cast<double>(count) > kMostPoints)
    throw InputError(fmt::format("{}: a sample of {} points; at most {:.0f} are run", where, count,
                                 kMostPoints));
  Random random(seed);
  std::vector<Dimension> columns;
  for (const SampledAxis& axis : axes) {
    const AxisField field(axis.field, where);
    const std::optional<ValueRange> range = ValueRange::from_text(axis.values, where);
    const bool continuous = range && (!range->stated || range->by == 0);
    const std::vector<std::string> list =
        continuous ? std::vector<std::string>{} : values_of_text(axis.values, where);
    Dimension column{{axis.name}, {}};
    for (const std::uint64_t stratum : random.permutation(count)) {
      const double share =
          (static_cast<double>(stratum) + random.uniform()) / static_cast<double>(count);
      const Variant variant = field.variant(
          continuous ? range->at(share)
                     : list[static_cast<std::size_t>(share * static_cast<double>(list.size()))]);
      column.rows.push_back({{variant.label}, {variant.keys}});
    }
    columns.push_back(std::move(column));
  }
  return zipped(columns, where);
}

SampledAxis axis_option(const std::string& option, const std::string& flag) {
  const auto equals = option.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == option.size())
    throw InputError(fmt::format(
        "{} {}: expected KEY=VALUE,VALUE,... (e.g. network.bandwidth=1Gbps..100Gbps:log5)", flag,
        option));
  const std::string field = AxisField(option.substr(0, equals), flag + " " + option).key();
  return {field, field, option.substr(equals + 1)};
}

std::vector<Dimension> read_dimensions(const Json& study, const std::string& file,
                                       std::size_t fine) {
  std::vector<Dimension> dimensions;
  ObjectReader top(study, file);
  for (ObjectReader& item : top.objects("axes")) {
    const std::string where = file + ": " + item.path();
    if (item.has("zip")) {
      std::vector<Dimension> axes;
      for (ObjectReader& axis : item.objects("zip")) axes.push_back(read_axis(axis, fine));
      if (axes.empty()) item.fail_at("zip", "an empty list, 0 axes");
      dimensions.push_back(zipped(axes, where + ".zip"));
      item.finish();
    } else if (item.has("sample")) {
      const auto count = static_cast<std::uint64_t>(item.integer("sample", 1));
      const auto seed = static_cast<std::uint64_t>(item.integer_or("seed", 1, 0));
      std::vector<SampledAxis> axes;
      for (ObjectReader& axis : item.objects("axes")) axes.push_back(read_sampled(axis));
      if (axes.empty()) item.fail_at("axes", "an empty list, 0 axes");
      dimensions.push_back(latin_hypercube(axes, count, seed, where));
      item.finish();
    } else {
      dimensions.push_back(read_axis(item, fine));
    }
  }
  return dimensions;
}

}  // namespace paceline
