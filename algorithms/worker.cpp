#include "algorithms/worker.hpp"

#include <stdexcept>

namespace paceline {

void detail::no_value() {
  throw std::logic_error("the value of a Pending was asked for that stands for nothing");
}

const char* to_string(Activity activity) {
  switch (activity) {
    case Activity::forward:
      return "forward";
    case Activity::backward:
      return "backward";
    case Activity::update:
      return "update";
    case Activity::sparsify:
      return "sparsify";
    case Activity::arithmetic:
      return "arithmetic";
    case Activity::copy:
      return "copy";
    case Activity::host:
      return "host";
  }
  return "";
}

}  // namespace paceline
