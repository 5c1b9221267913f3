#include "models/operation.hpp"

#include <array>
#include <utility>

#include "base/error.hpp"

namespace paceline {
namespace {

template <class List>
struct Of;
template <class... Ops>
struct Of<std::variant<Ops...>> {
  static constexpr std::array<const char*, sizeof...(Ops)> names{Ops::name...};
  static Attributes at(std::size_t index) {
    static const std::array<Attributes, sizeof...(Ops)> defaults{Ops{}...};
    return defaults.at(index);
  }
};
using List = Of<Attributes>;

}  // namespace

std::string to_string(OpKind kind) {
  return List::names.at(static_cast<std::size_t>(kind));
}

std::vector<std::string> op_kind_names() {
  return {List::names.begin(), List::names.end()};
}

OpKind op_kind_from_string(std::string_view name) {
  for (std::size_t i = 0; i < List::names.size(); ++i)
    if (name == List::names[i]) return OpKind{i};
  throw InputError(unknown_name("operation kind", name, op_kind_names()));
}

Attributes default_attributes(OpKind kind) {
  return List::at(static_cast<std::size_t>(kind));
}

std::int64_t ParameterTensor::elements() const {
  return element_count(shape);
}

std::int64_t Operation::output_elements() const {
  return element_count(output_shape);
}

std::int64_t Operation::parameter_elements() const {
  std::int64_t sum = 0;
  for (const ParameterTensor& tensor : parameters) sum += tensor.elements();
  return sum;
}

}  // namespace paceline
