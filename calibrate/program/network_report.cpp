#include "calibrate/program/network_report.hpp"

#include "base/json.hpp"
#include "base/units.hpp"

namespace paceline {
namespace {

std::string range_text(const TransferSegment& segment) {
  if (segment.points == 0) return "not stated";
  return fmt::format("{} to {}", format_bytes(segment.from_bytes), format_bytes(segment.to_bytes));
}

void print_segment(Report& report, const std::string& name, const std::string& ranks,
                   const TransferSegment& segment) {
  const std::string errors =
      segment.points == 0
          ? fmt::format("{:>10}{:>9}", "-", "-")
          : fmt::format("{:>9.1f}%{:>8.1f}%", 100 * segment.mean_error, 100 * segment.worst_error);
  report.print("{:<44}{:>6}{:>24}{:>13}{:>12.4g}{:>7}{}\n", name, ranks, range_text(segment),
               format_duration(segment.alpha_s), segment.beta_s_per_byte, segment.points, errors);
}

Json segment_json(const TransferSegment& s) {
  Json json{{"alpha_s", s.alpha_s}, {"beta_s_per_byte", s.beta_s_per_byte}, {"points", s.points}};
  if (s.points > 0) {
    json["from_bytes"] = s.from_bytes;
    json["to_bytes"] = s.to_bytes;
    json["mean_error"] = s.mean_error;
    json["worst_error"] = s.worst_error;
  }
  return json;
}

}  // namespace

void print_header(Report& report) {
  report.print("{:<44}{:>6}{:>24}{:>13}{:>12}{:>7}{:>10}{:>9}\n", "", "ranks", "sizes", "alpha",
               "beta s/B", "points", "mean err", "worst");
}

void print_fit(Report& report, const std::string& name, const FittedLog& fitted) {
  const std::string ranks =
      fitted.log.ranks ? fmt::format("{}", *fitted.log.ranks) : std::string("-");
  for (const TransferSegment& segment : fitted.fit.segments)
    print_segment(report, name, ranks, segment);
  if (fitted.fit.segments.size() > 1) print_segment(report, "  as one law", "", fitted.fit.one_law);
}

Json fit_json(const std::string& name, const FittedLog& fitted) {
  Json json{{"name", name}, {"kind", to_string(fitted.log.kind)}};
  if (fitted.log.ranks) json["ranks"] = *fitted.log.ranks;
  json["segments"] = Json::array();
  for (const TransferSegment& s : fitted.fit.segments) json["segments"].push_back(segment_json(s));
  if (fitted.fit.segments.size() > 1) json["one_law"] = segment_json(fitted.fit.one_law);
  return json;
}

void print_residuals(Report& report, const FittedLog& fitted) {
  const bool several = fitted.fit.segments.size() > 1;
  report.print("{:>14}{:>14}{:>14}{:>9}{}\n", "bytes", "measured", "fit", "error",
               several ? "  as one law" : "");
  for (const MessageSample& sample : fitted.log.samples) {
    const double fit = fitted.fit.seconds(sample.bytes);
    const auto error = [&](double seconds) { return 100 * (seconds / sample.seconds - 1); };
    report.print("{:>14.0f}{:>14}{:>14}{:>+8.1f}%", sample.bytes, format_duration(sample.seconds),
                 format_duration(fit), error(fit));
    if (several) report.print("{:>+11.1f}%", error(fitted.fit.one_law.seconds(sample.bytes)));
    report.print("\n");
  }
}

}  // namespace paceline
