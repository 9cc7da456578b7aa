#include "server/report_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/log_linear.h"
#include "base/measurements.h"
#include "faults/registry.h"

namespace faultline::server {
namespace {

using chaos::v1::FaultCounters;
using chaos::v1::FaultEffect;
using chaos::v1::ParameterResult;
using chaos::v1::Report;

// Two-sided 95 % of the normal distribution.
constexpr double kZ = 1.959964;
// Means are over the packets whose delay was measured, rates over the time in which a link was
// busy; all other effects are shares of the packets matched.
constexpr std::string_view kMeanDelay = "delay_given_ns";
constexpr std::string_view kLinkRate = "link_bytes";
// Not a counter: the histogram of delays.
constexpr std::string_view kSpread = "given";

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

// The deviation of a histogram's values, those of a bucket being spread over it evenly.
struct Deviation {
  double packets = 0;
  double ms = 0;
  double error_ms = 0;   // one standard error of `ms`
  double bucket_ms = 0;  // by how much buckets of this height alone would deviate
};

Deviation DeviationOf(const chaos::v1::SparseHistogram& given) {
  Deviation all;
  // Bucket by bucket: how many, their middle, the bucket's own variance.
  std::vector<std::array<double, 3>> buckets;
  double sum = 0;
  for (int i = 0; i < given.index_size(); ++i) {
    const uint32_t bucket = given.index(i);
    const double lower_ms = static_cast<double>(fl_hist_lower_ns(bucket)) / 1e6;
    const double width_ms = static_cast<double>(fl_hist_upper_ns(bucket)) / 1e6 - lower_ms;
    const auto count = static_cast<double>(given.count(i));
    buckets.push_back({count, lower_ms + width_ms / 2, width_ms * width_ms / 12});
    all.packets += count;
    sum += count * (lower_ms + width_ms / 2);
  }
  if (all.packets == 0) return all;
  double second = 0, fourth = 0, own = 0;
  for (const auto& [count, middle_ms, variance] : buckets) {
    const double squared = std::pow(middle_ms - sum / all.packets, 2);
    second += count * squared / all.packets;
    fourth += count * squared * squared / all.packets;
    own += count * variance / all.packets;
  }
  // Sheppard's correction: middles deviate by their buckets' width more than the values did.
  const double variance = std::max(0.0, second - own);
  all.ms = std::sqrt(variance);
  all.bucket_ms = std::sqrt(own);
  if (variance > 0) {
    all.error_ms = std::sqrt(std::max(0.0, fourth - second * second) / all.packets) / (2 * all.ms);
  }
  return all;
}

// A uniform jitter is asked for by its half width, which is sqrt(3) deviations; all others by their
// deviation.
void SetSpread(const FaultEffect& effect, bool uniform, ParameterResult* result) {
  const Deviation deviation = DeviationOf(effect.given());
  if (deviation.packets < 2) return NotMeasured("fewer than two packets were delayed", result);
  if (deviation.ms < deviation.bucket_ms) {
    return NotMeasured(
        fmt::format("it is less than the histogram of delays tells apart ({:.2g} ms)",
                    deviation.bucket_ms),
        result);
  }
  const double scale = uniform ? std::sqrt(3) : 1;
  result->set_measured(true);
  result->set_value(scale * deviation.ms);
  result->set_low(scale * std::max(0.0, deviation.ms - kZ * deviation.error_ms));
  result->set_high(scale * (deviation.ms + kZ * deviation.error_ms));
  result->set_samples(static_cast<uint64_t>(deviation.packets));
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
  const uint64_t hits = CounterNamed(counters, name);
  const double share = std::min(1.0, static_cast<double>(hits) / n);
  const double middle = (share + kZ * kZ / (2 * n)) / (1 + kZ * kZ / n);
  const double half =
      kZ * std::sqrt(share * (1 - share) / n + kZ * kZ / (4 * n * n)) / (1 + kZ * kZ / n);
  result->set_measured(true);
  result->set_value(share * 100);
  result->set_low(std::max(0.0, middle - half) * 100);
  result->set_high(std::min(1.0, middle + half) * 100);
  result->set_samples(counters.matched());
  result->set_hits(hits);
}

// How one parameter or effect is measured.
struct Measure {
  std::string by;
  bool uniform = false;  // the fault's `distribution`
};

void SetResult(const FaultEffect& effect, const Measure& measure, ParameterResult* result) {
  if (measure.by == kMeanDelay) return SetMeanDelay(effect, result);
  if (measure.by == kSpread) return SetSpread(effect, measure.uniform, result);
  if (measure.by == kLinkRate) return SetLinkRate(effect.counters(), result);
  SetShare(effect.counters(), measure.by, result);
}

// Of one parameter or effect, as `result` names it: over all targets first, then each.
void AddMeasured(ParameterResult result, const Measure& measure, Report* report) {
  FaultEffect all;
  std::vector<ParameterResult> of_targets;
  for (const auto& target : report->targets()) {
    for (const FaultEffect& effect : target.faults()) {
      if (effect.fault_index() != result.fault_index()) continue;
      AddUp(effect, &all);
      of_targets.push_back(result);
      of_targets.back().set_target_id(target.target_id());
      SetResult(effect, measure, &of_targets.back());
    }
  }
  SetResult(all, measure, &result);
  *report->add_parameters() = std::move(result);
  if (of_targets.size() < 2) return;
  for (auto& of_target : of_targets) *report->add_parameters() = std::move(of_target);
}

ParameterResult RowOf(uint32_t fault_index, const std::string& name, const std::string& asked,
                      const std::string& unit) {
  const bool number = asked.find_first_not_of("0123456789.") == std::string::npos;
  ParameterResult result;
  result.set_fault_index(fault_index);
  result.set_name(name);
  result.set_asked(number && !unit.empty() ? asked + " " + unit : asked);
  result.set_unit(unit);
  return result;
}

// Defaults stand among the fault's parameters too: they asked for nothing, unless they do
// something.
bool AskedFor(const chaos::v1::ParameterInfo& info, const std::string& asked) {
  if (info.required() || asked != info.default_value()) return true;
  return !info.measured_by().empty() && asked != "0";
}

void AddUnmeasured(ParameterResult result, const std::string& why, Report* report) {
  NotMeasured(why.empty() ? "nothing counts it" : why, &result);
  *report->add_parameters() = std::move(result);
}

// Of a kind of a newer program.
void AddUnknown(uint32_t fault_index, const chaos::v1::Fault& fault, Report* report) {
  const std::map<std::string, std::string> ordered(fault.parameters().begin(),
                                                   fault.parameters().end());
  for (const auto& [name, asked] : ordered) {
    AddUnmeasured(RowOf(fault_index, name, asked, ""), "this program does not know the kind",
                  report);
  }
}

void AddFault(uint32_t fault_index, const chaos::v1::Fault& fault, Report* report) {
  const auto* kind = faults::FindKind(fault.kind());
  if (kind == nullptr) return AddUnknown(fault_index, fault, report);
  if (const auto* effect = faults::CountedEffectOf(*kind)) {
    AddMeasured(RowOf(fault_index, effect->name(), effect->asked(), "%"), {effect->measured_by()},
                report);
  }
  const auto distribution = fault.parameters().find("distribution");
  const bool uniform =
      distribution != fault.parameters().end() && distribution->second == "uniform";
  const chaos::v1::FaultKindInfo described = faults::Describe(*kind);
  for (const auto& info : described.parameters()) {
    const auto asked = fault.parameters().find(info.name());
    if (asked == fault.parameters().end() || !AskedFor(info, asked->second)) continue;
    ParameterResult row = RowOf(fault_index, info.name(), asked->second, info.unit());
    if (info.measured_by().empty()) {
      AddUnmeasured(std::move(row), faults::WhyNotMeasured(*kind, info.name()), report);
    } else {
      AddMeasured(std::move(row), {info.measured_by(), uniform}, report);
    }
  }
}

}  // namespace

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
  AddSums(from, into);
}

void AddParameters(Report* report) {
  const auto& faults = report->experiment().faults();
  for (int i = 0; i < faults.size(); ++i) AddFault(static_cast<uint32_t>(i), faults[i], report);
}

}  // namespace faultline::server
