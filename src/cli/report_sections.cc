#include "cli/report_sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/describe.h"
#include "cli/format.h"
#include "cli/report_warnings.h"
#include "cli/traffic_text.h"

namespace faultline::cli {
namespace {

using chaos::v1::Measurements;
using chaos::v1::Report;

// Four digits that count.
std::string Number(double value) {
  if (value == 0) return "0";
  const int digits = 3 - static_cast<int>(std::floor(std::log10(std::abs(value))));
  return fmt::format("{:.{}f}", value, std::clamp(digits, 0, 6));
}

using Percentiles = google::protobuf::RepeatedPtrField<chaos::v1::Percentile>;

std::optional<double> Bound(bool is_there, double value) {
  return is_there ? std::optional(value) : std::nullopt;
}

std::string PercentileText(const Percentiles& percentiles, double percent) {
  for (const auto& p : percentiles) {
    if (p.percent() == percent) {
      return WithInterval(p.value_ms(), Bound(p.has_low_ms(), p.low_ms()),
                          Bound(p.has_high_ms(), p.high_ms()), "ms");
    }
  }
  return "-";
}

// `targets`: measured at the same time, and added up.
std::string RateText(const Measurements& measured, int targets) {
  return Number(static_cast<double>(measured.requests()) * 1e9 * targets /
                static_cast<double>(measured.duration_ns()));
}

std::string KindOf(const Report& report, uint32_t fault_index) {
  const auto index = static_cast<int>(fault_index);
  const auto& faults = report.experiment().faults();
  return index < faults.size() ? faults[index].kind() : fmt::format("fault {}", fault_index);
}

std::string MeasuredText(const chaos::v1::ParameterResult& result) {
  if (!result.measured()) return "not measured: " + result.reason();
  const std::string text = WithInterval(result.value(), Bound(result.has_low(), result.low()),
                                        Bound(result.has_high(), result.high()), result.unit());
  if (result.no_interval_reason().empty()) return text;
  return fmt::format("{} (no interval: {})", text, result.no_interval_reason());
}

// Of a share "12 of 100", if the controller says so, else how many there were.
std::string PacketsText(const chaos::v1::ParameterResult& result) {
  if (!result.measured()) return "-";
  const bool told = result.hits() > 0 || result.value() == 0;
  if (result.unit() != "%" || !told) return fmt::format("{}", result.samples());
  return fmt::format("{} of {}", result.hits(), result.samples());
}

Section ParametersOf(const Report& report) {
  Section section{"Asked and measured",
                  "With 95 % confidence.",
                  {"FAULT", "PARAMETER", "TARGET", "ASKED", "MEASURED", "PACKETS"},
                  {}};
  for (const auto& result : report.parameters()) {
    section.rows.push_back({KindOf(report, result.fault_index()), result.name(),
                            result.target_id().empty() ? "all" : result.target_id(), result.asked(),
                            MeasuredText(result), PacketsText(result)});
  }
  return section;
}

void AddPhase(const std::string& target, const std::string& phase, const Measurements& measured,
              int targets, Section* section) {
  if (measured.duration_ns() == 0) return;
  section->rows.push_back(
      {target, phase, FormatDuration(static_cast<int64_t>(measured.duration_ns()) / targets),
       fmt::format("{}", measured.requests()), RateText(measured, targets),
       PercentileText(measured.percentiles(), 50), PercentileText(measured.percentiles(), 99),
       measured.not_measurable() == 0
           ? "0"
           : fmt::format("{} ({})", measured.not_measurable(), measured.not_measurable_reason())});
}

Section RequestsOf(const Report& report) {
  Section section{
      "Request times",
      "Request to response, on the side of whoever waits; all targets from merged "
      "histograms.",
      {"TARGET", "PHASE", "MEASURED", "REQUESTS", "PER SECOND", "P50", "P99", "NOT MEASURABLE"},
      {}};
  const auto add = [&section](const std::string& target, const auto& phases, int targets) {
    AddPhase(target, "before", phases.before(), targets, &section);
    AddPhase(target, "during", phases.during(), targets, &section);
    AddPhase(target, "after", phases.after(), targets, &section);
  };
  if (report.targets_size() > 1) add("all", report, report.targets_size());
  for (const auto& target : report.targets()) add(target.target_id(), target, 1);
  return section;
}

// What was seen of connections: a row for each target and phase in which there was something.
Section ConnectionsOf(const Report& report) {
  Section section{
      "Connections",
      "Handshake: from the request for a TCP connection to its acceptance; RTT: the kernel's "
      "smoothed round-trip time.",
      {"TARGET", "PHASE", "HANDSHAKES", "P50", "P99", "RTT P50", "SEEN"},
      {}};
  const auto add = [&section](const std::string& target, const char* phase,
                              const Measurements& measured) {
    const std::string seen = TrafficText(measured.traffic());
    if (measured.handshakes() == 0 && measured.rtt_percentiles().empty() && seen.empty()) return;
    section.rows.push_back({target, phase, fmt::format("{}", measured.handshakes()),
                            PercentileText(measured.handshake_percentiles(), 50),
                            PercentileText(measured.handshake_percentiles(), 99),
                            PercentileText(measured.rtt_percentiles(), 50), seen});
  };
  const auto add_phases = [&add](const std::string& target, const auto& phases) {
    add(target, "before", phases.before());
    add(target, "during", phases.during());
    add(target, "after", phases.after());
  };
  if (report.targets_size() > 1) add_phases("all", report);
  for (const auto& target : report.targets()) add_phases(target.target_id(), target);
  return section;
}

// How long packets waited in a lane, where there were any.
Section DelaysOf(const Report& report) {
  Section section{
      "Delays",
      "What each packet waited, beside the mean of what was asked of it; with 95 % confidence.",
      {"TARGET", "FAULT", "PACKETS", "ASKED", "P50", "P90", "P99"},
      {}};
  const auto add = [&](const std::string& target, const chaos::v1::FaultEffect& effect) {
    const auto& counters = effect.counters();
    if (effect.given_percentiles().empty() || counters.delays_measured() == 0) return;
    const double asked_ms = static_cast<double>(counters.delay_asked_ns()) / 1e6 /
                            static_cast<double>(counters.delays_measured());
    section.rows.push_back({target, KindOf(report, effect.fault_index()),
                            fmt::format("{}", counters.delays_measured()), Number(asked_ms) + " ms",
                            PercentileText(effect.given_percentiles(), 50),
                            PercentileText(effect.given_percentiles(), 90),
                            PercentileText(effect.given_percentiles(), 99)});
  };
  if (report.targets_size() > 1) {
    for (const auto& effect : report.faults()) add("all", effect);
  }
  for (const auto& target : report.targets()) {
    for (const auto& effect : target.faults()) add(target.target_id(), effect);
  }
  return section;
}

// A column for each counter that says something in this report; the first few always stand there.
Section PacketsOf(const Report& report) {
  using Counters = chaos::v1::FaultCounters;
  constexpr struct {
    const char* heading;
    uint64_t (Counters::*value)() const;
    bool always;
  } kColumns[] = {
      {"MATCHED", &Counters::matched, true},
      {"DELAYED", &Counters::delayed, true},
      {"DROPPED", &Counters::dropped, true},
      {"QUEUED", &Counters::queued, false},
      {"DUPLICATED", &Counters::duplicated, false},
      {"CORRUPTED", &Counters::corrupted, false},
      {"REORDERED", &Counters::reordered, false},
      {"RESETS", &Counters::resets, false},
      {"FAILED CONNECTS", &Counters::connects_failed, false},
      {"FAILED QUERIES", &Counters::queries_failed, false},
      {"FAILED REQUESTS", &Counters::requests_failed, false},
      {"LEFT ALONE", &Counters::left_alone, false},
      {"LEASE OVER", &Counters::lease_expired, true},
      {"LANE FULL", &Counters::lane_dropped, true},
  };
  Section section{
      "Packets", "What each fault did to the packets of each target.", {"TARGET", "FAULT"}, {}};
  for (const auto& target : report.targets()) {
    for (const auto& fault : target.faults()) {
      section.rows.push_back({target.target_id(), KindOf(report, fault.fault_index())});
    }
  }
  for (const auto& column : kColumns) {
    std::vector<uint64_t> values;
    for (const auto& target : report.targets()) {
      for (const auto& fault : target.faults()) {
        values.push_back((fault.counters().*column.value)());
      }
    }
    const bool says = std::any_of(values.begin(), values.end(), [](uint64_t v) { return v > 0; });
    if (!says && !column.always) continue;
    section.headings.push_back(column.heading);
    for (size_t i = 0; i < values.size(); ++i) {
      section.rows[i].push_back(fmt::format("{}", values[i]));
    }
  }
  return section;
}

// Faults that did not end as they should.
Section LostOf(const Report& report) {
  Section section{"Refused or lost", "", {"TARGET", "FAULT", "PHASE", "REASON"}, {}};
  for (const auto& pair : report.experiment().targets()) {
    if (pair.phase() == chaos::v1::TARGET_PHASE_REVERTED) continue;
    section.rows.push_back({pair.target_id(), KindOf(report, pair.fault_index()),
                            std::string(PhaseWord(pair.phase())), pair.reason()});
  }
  return section;
}

std::string TimeText(const google::protobuf::Timestamp& time, std::optional<int64_t> now_unix_ns) {
  const int64_t unix_ns = ToUnixNanos(time);
  return now_unix_ns ? FormatTime(unix_ns, *now_unix_ns) : FormatIsoTime(unix_ns);
}

Section EventsOf(const Report& report, std::optional<int64_t> now_unix_ns) {
  Section section{"What happened",
                  "By the leader's clock; to connections, by the clocks of their hosts.",
                  {"TIME", "WHAT", "TARGET", "DETAIL"},
                  {}};
  for (const auto& event : report.events()) {
    section.rows.push_back(
        {TimeText(event.time(), now_unix_ns), event.what(), event.target_id(), event.detail()});
  }
  return section;
}

}  // namespace

std::string WithInterval(double value, std::optional<double> low, std::optional<double> high,
                         const std::string& unit) {
  const std::string text = Number(value) + (unit.empty() ? "" : " " + unit);
  if (low && high) return fmt::format("{} ({} to {})", text, Number(*low), Number(*high));
  if (low) return fmt::format("{} (at least {})", text, Number(*low));
  if (high) return fmt::format("{} (at most {})", text, Number(*high));
  return text;
}

ReportSections SectionsOf(const Report& report, std::optional<int64_t> now_unix_ns) {
  ReportSections all;
  const auto& experiment = report.experiment();
  const auto fact = [&all](const std::string& name, const std::string& text) {
    if (!text.empty()) all.facts.emplace_back(name, text);
  };
  fact("experiment", experiment.experiment_id());
  fact("status", std::string(StatusWord(experiment.status())) + ", " + experiment.phase());
  fact("reason", experiment.reason());
  fact("target", experiment.target());
  fact("faults", FaultsText(experiment, false));
  fact("seed", fmt::format("{}", experiment.seed()));
  fact("created", fmt::format("{} by {}", TimeText(experiment.created_at(), now_unix_ns),
                              experiment.created_by()));
  fact("ended", TimeText(experiment.ended_at(), now_unix_ns));
  for (Section& section : std::vector{ParametersOf(report), DelaysOf(report), RequestsOf(report),
                                      ConnectionsOf(report), PacketsOf(report), LostOf(report),
                                      EventsOf(report, now_unix_ns)}) {
    if (!section.rows.empty()) all.sections.push_back(std::move(section));
  }
  all.warnings = WarningsOf(report);
  return all;
}

}  // namespace faultline::cli
