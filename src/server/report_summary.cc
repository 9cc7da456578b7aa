#include "server/report_summary.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/traffic.h"
#include "control/report_parts.h"
#include "faults/registry.h"

namespace faultline::server {
namespace {

using chaos::v1::FaultCounters;
using chaos::v1::FaultEffect;
using chaos::v1::Measurements;
using chaos::v1::ParameterResult;
using chaos::v1::Report;
using chaos::v1::ReportEvent;
using chaos::v1::TrafficEvent;

// Two-sided 95 % of the normal distribution.
constexpr double kZ = 1.959964;
constexpr double kPercentiles[] = {50, 90, 99};
// Means are over the packets whose delay was measured, rates over the time in which a link was
// busy; all other effects are shares of the packets matched.
constexpr std::string_view kMeanDelay = "delay_given_ns";
constexpr std::string_view kLinkRate = "link_bytes";

// The order statistics between which the percentile lies with 95 %: of n values those of ranks
// np -+ z sqrt(np(1-p)).
chaos::v1::Percentile PercentileOf(const Histogram& histogram, double percent) {
  const auto n = static_cast<double>(histogram.count());
  const double p = percent / 100;
  const double half = kZ * std::sqrt(p * (1 - p) / n) * 100;
  chaos::v1::Percentile out;
  out.set_percent(percent);
  out.set_value_ms(histogram.PercentileNs(percent) / 1e6);
  out.set_low_ms(histogram.PercentileNs(std::max(percent - half, 100 / n)) / 1e6);
  out.set_high_ms(histogram.PercentileNs(std::min(percent + half, 100.0)) / 1e6);
  return out;
}

// How many there are; their percentiles, none of nothing.
uint64_t SummarizeTimes(const chaos::v1::SparseHistogram& times,
                        google::protobuf::RepeatedPtrField<chaos::v1::Percentile>* percentiles) {
  Histogram histogram;
  histogram.Merge(times).IgnoreError();  // merged before
  if (histogram.count() == 0) return 0;
  for (const double percent : kPercentiles) *percentiles->Add() = PercentileOf(histogram, percent);
  return histogram.count();
}

void SummarizePhase(bool keep_histogram, Measurements* measured) {
  measured->set_requests(SummarizeTimes(measured->latency(), measured->mutable_percentiles()));
  measured->set_handshakes(
      SummarizeTimes(measured->traffic().handshake(), measured->mutable_handshake_percentiles()));
  SummarizeTimes(measured->traffic().smoothed_rtt(), measured->mutable_rtt_percentiles());
  if (keep_histogram) return;
  measured->clear_latency();
  if (measured->has_traffic()) ClearHistograms(measured->mutable_traffic());
}

uint64_t CounterNamed(const FaultCounters& counters, const std::string& name) {
  const auto* field = FaultCounters::descriptor()->FindFieldByName(name);
  if (field == nullptr || field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_UINT64) {
    return 0;
  }
  return FaultCounters::GetReflection()->GetUInt64(counters, field);
}

void NotMeasured(const std::string& reason, ParameterResult* result) {
  result->set_measured(false);
  result->set_reason(reason);
}

// The ratio of two sums over batches; its variance from the batches' residuals.
void SetMeanDelay(const FaultEffect& effect, ParameterResult* result) {
  const auto& counters = effect.counters();
  if (counters.delays_measured() == 0) return NotMeasured("no packet was delayed", result);
  const double delayed = static_cast<double>(counters.delays_measured()) / 1e3;
  const double mean = static_cast<double>(counters.delay_given_ns()) / 1e9 / delayed;
  const auto n = static_cast<double>(effect.batches());
  const double squares =
      std::max(0.0, effect.sum_given_squared() - 2 * mean * effect.sum_delayed_given() +
                        mean * mean * effect.sum_delayed_squared());
  const double deviation = n > 1 ? std::sqrt(squares * n / (n - 1)) / delayed : 0;
  // Seconds for a thousand packets are milliseconds for one.
  result->set_measured(true);
  result->set_value(mean);
  result->set_low(mean - kZ * deviation);
  result->set_high(mean + kZ * deviation);
  result->set_samples(counters.delays_measured());
}

// A busy link's rate is known to one packet more or less.
void SetLinkRate(const FaultCounters& counters, ParameterResult* result) {
  if (counters.link_busy_ns() == 0) {
    return NotMeasured("no packet waited for another: the link was never busy", result);
  }
  constexpr double kPacketBits = 8 * 1514;
  const double seconds = static_cast<double>(counters.link_busy_ns()) / 1e9;
  const double rate_bps = 8 * static_cast<double>(counters.link_bytes()) / seconds;
  result->set_measured(true);
  result->set_value(rate_bps);
  result->set_low(std::max(0.0, rate_bps - kPacketBits / seconds));
  result->set_high(rate_bps + kPacketBits / seconds);
  result->set_samples(counters.delays_measured());
}

// Wilson's interval of a share.
void SetShare(const FaultCounters& counters, const std::string& name, ParameterResult* result) {
  if (counters.matched() == 0) return NotMeasured("no packet matched", result);
  const auto n = static_cast<double>(counters.matched());
  const double share = std::min(1.0, static_cast<double>(CounterNamed(counters, name)) / n);
  const double middle = (share + kZ * kZ / (2 * n)) / (1 + kZ * kZ / n);
  const double half =
      kZ * std::sqrt(share * (1 - share) / n + kZ * kZ / (4 * n * n)) / (1 + kZ * kZ / n);
  result->set_measured(true);
  result->set_value(share * 100);
  result->set_low(std::max(0.0, middle - half) * 100);
  result->set_high(std::min(1.0, middle + half) * 100);
  result->set_samples(counters.matched());
}

void SetResult(const FaultEffect& effect, const std::string& measured_by, ParameterResult* result) {
  if (measured_by == kMeanDelay) return SetMeanDelay(effect, result);
  if (measured_by == kLinkRate) return SetLinkRate(effect.counters(), result);
  SetShare(effect.counters(), measured_by, result);
}

void AddUp(const FaultEffect& from, FaultEffect* into) {
  const auto* reflection = FaultCounters::GetReflection();
  const auto* descriptor = FaultCounters::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_UINT64) continue;
    reflection->SetUInt64(into->mutable_counters(), field,
                          reflection->GetUInt64(into->counters(), field) +
                              reflection->GetUInt64(from.counters(), field));
  }
  into->set_batches(into->batches() + from.batches());
  into->set_sum_delayed_squared(into->sum_delayed_squared() + from.sum_delayed_squared());
  into->set_sum_given_squared(into->sum_given_squared() + from.sum_given_squared());
  into->set_sum_delayed_given(into->sum_delayed_given() + from.sum_delayed_given());
}

// Of one parameter: over all targets first, then each.
void AddParameter(uint32_t fault_index, const chaos::v1::ParameterInfo& info,
                  const std::string& asked, Report* report) {
  ParameterResult result;
  result.set_fault_index(fault_index);
  result.set_name(info.name());
  result.set_asked(asked.find_first_not_of("0123456789.") == std::string::npos &&
                           !info.unit().empty()
                       ? asked + " " + info.unit()
                       : asked);
  result.set_unit(info.unit());
  FaultEffect all;
  std::vector<ParameterResult> of_targets;
  for (const auto& target : report->targets()) {
    for (const FaultEffect& effect : target.faults()) {
      if (effect.fault_index() != fault_index) continue;
      AddUp(effect, &all);
      of_targets.push_back(result);
      of_targets.back().set_target_id(target.target_id());
      SetResult(effect, info.measured_by(), &of_targets.back());
    }
  }
  SetResult(all, info.measured_by(), &result);
  *report->add_parameters() = std::move(result);
  if (of_targets.size() < 2) return;
  for (auto& of_target : of_targets) *report->add_parameters() = std::move(of_target);
}

void AddParameters(Report* report) {
  const auto& faults = report->experiment().faults();
  for (int i = 0; i < faults.size(); ++i) {
    const auto* kind = faults::FindKind(faults[i].kind());
    if (kind == nullptr) continue;  // of a newer program
    const chaos::v1::FaultKindInfo described = faults::Describe(*kind);
    for (const auto& info : described.parameters()) {
      const auto asked = faults[i].parameters().find(info.name());
      if (info.measured_by().empty() || asked == faults[i].parameters().end()) continue;
      AddParameter(static_cast<uint32_t>(i), info, asked->second, report);
    }
  }
}

std::string WordOf(chaos::v1::TrafficEventType type) {
  switch (type) {
    case chaos::v1::TRAFFIC_EVENT_TYPE_REFUSED:
      return "connection refused";
    case chaos::v1::TRAFFIC_EVENT_TYPE_RESET:
      return "connection reset";
    case chaos::v1::TRAFFIC_EVENT_TYPE_KERNEL_DROP:
      return "kernel drop";
    case chaos::v1::TRAFFIC_EVENT_TYPE_FAILED:
      return "connection failed";
    default:
      return "event";  // of a newer program
  }
}

std::string EndText(const std::string& address, uint32_t port) {
  if (port == 0) return address;
  const bool ipv6 = address.find(':') != std::string::npos;
  return ipv6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

ReportEvent ToReportEvent(const std::string& target_id, const TrafficEvent& event) {
  ReportEvent out;
  out.mutable_time()->set_seconds(event.timestamp_ns() / static_cast<int64_t>(kNanosPerSecond));
  out.mutable_time()->set_nanos(
      static_cast<int32_t>(event.timestamp_ns() % static_cast<int64_t>(kNanosPerSecond)));
  out.set_what(WordOf(event.type()));
  out.set_target_id(target_id);
  std::string from = EndText(event.local_address(), event.local_port());
  std::string to = EndText(event.peer_address(), event.peer_port());
  if (!event.sent()) from.swap(to);
  out.set_detail(fmt::format("{} {} to {}{}{}", event.protocol(), from, to,
                             event.reason().empty() ? "" : ": ", event.reason()));
  return out;
}

// What happened to targets' connections takes its place among what happened to the faults.
void AddTrafficEvents(Report* report) {
  for (auto& target : *report->mutable_targets()) {
    for (auto* phase : {target.mutable_before(), target.mutable_during(), target.mutable_after()}) {
      if (!phase->has_traffic()) continue;
      for (const TrafficEvent& event : phase->traffic().events()) {
        *report->add_events() = ToReportEvent(target.target_id(), event);
      }
      phase->mutable_traffic()->clear_events();
    }
  }
  std::stable_sort(report->mutable_events()->begin(), report->mutable_events()->end(),
                   [](const ReportEvent& a, const ReportEvent& b) {
                     return std::pair(a.time().seconds(), a.time().nanos()) <
                            std::pair(b.time().seconds(), b.time().nanos());
                   });
}

}  // namespace

std::vector<std::string> UnmeasuredTargets(const Report& report) {
  std::set<std::string> measured, active;
  for (const auto& target : report.targets()) measured.insert(target.target_id());
  for (const auto& event : report.events()) {
    if (event.what() == "active") active.insert(event.target_id());
  }
  std::vector<std::string> unmeasured;
  std::ranges::set_difference(active, measured, std::back_inserter(unmeasured));
  return unmeasured;
}

void Summarize(bool keep_histograms, Report* report) {
  AddTrafficEvents(report);
  for (auto& target : *report->mutable_targets()) {
    control::AddMeasurements(target.before(), report->mutable_before());
    control::AddMeasurements(target.during(), report->mutable_during());
    control::AddMeasurements(target.after(), report->mutable_after());
    for (auto* phase : {target.mutable_before(), target.mutable_during(), target.mutable_after()}) {
      SummarizePhase(keep_histograms, phase);
    }
  }
  for (auto* phase :
       {report->mutable_before(), report->mutable_during(), report->mutable_after()}) {
    SummarizePhase(keep_histograms, phase);
  }
  AddParameters(report);
  for (std::string& target : UnmeasuredTargets(*report)) {
    report->add_unmeasured_targets(std::move(target));
  }
}

}  // namespace faultline::server
