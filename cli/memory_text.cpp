#include "memory_text.hpp"

#include <fmt/format.h>

#include "base/units.hpp"

namespace paceline {
namespace {

// "activations 2.6 GB, weights, gradients and optimiser 307 MB, schedule 205 MB, framework 537 MB"
std::string memory_shares(const MemoryUse& use) {
  std::string text = fmt::format(
      "activations {}, weights, gradients and optimiser {}", format_bytes(use.activations_bytes),
      format_bytes(use.weights_bytes + use.gradients_bytes + use.optimizer_bytes));
  if (use.schedule_bytes > 0) text += ", schedule " + format_bytes(use.schedule_bytes);
  if (use.framework_bytes) text += ", framework " + format_bytes(*use.framework_bytes);
  return text;
}

}  // namespace

std::string memory_lines(const JobOutcome& job) {
  std::string text;
  for (const MemoryUse& use : job.memory) {
    const std::string total = format_bytes(use.total_bytes());
    text +=
        use.card_bytes > 0
            ? fmt::format("  memory    {} of {} on a {} ({:.0f} %): ", total,
                          format_bytes(use.card_bytes), use.gpu,
                          100 * use.total_bytes() / use.card_bytes)
            : fmt::format("  memory    {} on a {}, whose memory is not known: ", total, use.gpu);
    text += memory_shares(use) + "\n";
  }
  return text;
}

}  // namespace paceline
