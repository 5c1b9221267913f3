#include <fmt/format.h>

#include <optional>

#include "base/units.hpp"
#include "report.hpp"
#include "table.hpp"

namespace paceline {

std::string layers_report(const LayerTable& table) {
  const auto ms = [](const std::optional<double>& seconds) {
    return seconds ? fmt::format("{:.3f}", 1e3 * *seconds) : std::string();
  };
  Table text;
  text.column("layer");
  for (const char* header :
       {"forward from", "to", "backward from", "to", "sent from", "to", "sent", "exposed"})
    text.column(header, Table::Align::right);
  double bytes = 0, exposed = 0;
  for (const LayerRow& row : table.layers) {
    text.row({row.layer, ms(row.forward_from_s), ms(row.forward_until_s), ms(row.backward_from_s),
              ms(row.backward_until_s), ms(row.sent_from_s), ms(row.sent_until_s),
              row.sent_bytes > 0 ? format_bytes(row.sent_bytes) : "", ms(row.exposed_s)});
    bytes += row.sent_bytes;
    exposed += row.exposed_s;
  }
  text.row({"all", "", "", "", "", "", ms(table.seconds), format_bytes(bytes), ms(exposed)});
  return text.text(2) +
         fmt::format(
             "  milliseconds from the begin of {}, on the first worker; sent: what its gradient's "
             "collectives, pushes and pulls carry, exposed: while nothing is computed\n",
             table.steps == 1 ? "an iteration" : fmt::format("a cycle of {} steps", table.steps));
}

}  // namespace paceline
