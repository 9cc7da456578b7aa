#include "server/report_parameters.h"

#include <algorithm>
#include <cmath>

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

void SetResult(const FaultEffect& effect, const std::string& measured_by, ParameterResult* result) {
  if (measured_by == kMeanDelay) return SetMeanDelay(effect, result);
  if (measured_by == kLinkRate) return SetLinkRate(effect.counters(), result);
  SetShare(effect.counters(), measured_by, result);
}

// Of one parameter or effect, as `result` names it: over all targets first, then each.
void AddMeasured(ParameterResult result, const std::string& measured_by, Report* report) {
  FaultEffect all;
  std::vector<ParameterResult> of_targets;
  for (const auto& target : report->targets()) {
    for (const FaultEffect& effect : target.faults()) {
      if (effect.fault_index() != result.fault_index()) continue;
      AddUp(effect, &all);
      of_targets.push_back(result);
      of_targets.back().set_target_id(target.target_id());
      SetResult(effect, measured_by, &of_targets.back());
    }
  }
  SetResult(all, measured_by, &result);
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
    AddMeasured(RowOf(fault_index, effect->name(), effect->asked(), "%"), effect->measured_by(),
                report);
  }
  const chaos::v1::FaultKindInfo described = faults::Describe(*kind);
  for (const auto& info : described.parameters()) {
    const auto asked = fault.parameters().find(info.name());
    if (asked == fault.parameters().end() || !AskedFor(info, asked->second)) continue;
    ParameterResult row = RowOf(fault_index, info.name(), asked->second, info.unit());
    if (info.measured_by().empty()) {
      AddUnmeasured(std::move(row), faults::WhyNotMeasured(*kind, info.name()), report);
    } else {
      AddMeasured(std::move(row), info.measured_by(), report);
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
