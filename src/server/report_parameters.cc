#include "server/report_parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/histogram.h"
#include "base/log_linear.h"
#include "base/measurements.h"
#include "control/report_armings.h"
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

constexpr const char* kCorrelated =
    "what becomes of a packet depends on the one before it, and the counters do not say how much";

// How one parameter or effect is measured.
struct Measure {
  std::string by;
  std::string shape;        // the fault's `distribution`
  bool correlated = false;  // packets' fates, by what the fault was asked for
};

// A parameter's text; empty when it is not there.
std::string ParameterOf(const chaos::v1::Fault& fault, const std::string& name) {
  const auto found = fault.parameters().find(name);
  return found == fault.parameters().end() ? "" : found->second;
}

bool IsCorrelated(const chaos::v1::Fault& fault) {
  const std::string percent = ParameterOf(fault, "correlation_percent");
  return percent.find_first_of("123456789") != std::string::npos ||
         ParameterOf(fault, "model") == "gilbert_elliott";
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

void SetInterval(double low, double high, ParameterResult* result) {
  result->set_low(low);
  result->set_high(high);
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
  // Seconds for a thousand packets are milliseconds for one.
  result->set_measured(true);
  result->set_value(mean);
  result->set_samples(counters.delays_measured());
  if (n < 2) return result->set_no_interval_reason("all its packets came within one batch");
  const double deviation = std::sqrt(squares * n / (n - 1)) / delayed;
  SetInterval(mean - kZ * deviation, mean + kZ * deviation, result);
}

// How far the delays of a histogram lie apart. With middles of buckets instead of the values, the
// deviation is too large by what the buckets' width adds (Sheppard's correction takes that off) and
// uncertain by about as much, by where the values' ends lie in their buckets.
struct Deviation {
  double packets = 0;
  double ms = 0;
  double sampling_ms = 0;  // one standard error of `ms`
  double bucket_ms = 0;    // by how much values that fill one bucket deviate
};

Deviation DeviationOf(const chaos::v1::SparseHistogram& given) {
  Deviation all;
  Histogram histogram;
  if (!histogram.Merge(given).ok()) return all;
  all.packets = static_cast<double>(histogram.count());
  if (all.packets < 2) return all;
  double sum = 0, second = 0, fourth = 0, own = 0;
  const auto for_each = [&](auto&& visit) {
    for (const uint32_t bucket : given.index()) {
      const double lower_ms = static_cast<double>(fl_hist_lower_ns(bucket)) / 1e6;
      const double width_ms = static_cast<double>(fl_hist_upper_ns(bucket)) / 1e6 - lower_ms;
      visit(static_cast<double>(histogram.bucket(bucket)), lower_ms + width_ms / 2, width_ms);
    }
  };
  for_each([&](double count, double middle_ms, double) { sum += count * middle_ms; });
  for_each([&](double count, double middle_ms, double width_ms) {
    const double squared = std::pow(middle_ms - sum / all.packets, 2);
    second += count * squared / (all.packets - 1);
    fourth += count * squared * squared / all.packets;
    own += count * width_ms * width_ms / 12 / all.packets;
  });
  all.ms = std::sqrt(std::max(0.0, second - own));
  all.bucket_ms = std::sqrt(own);
  if (all.ms > 0) {
    const double variance = std::max(0.0, fourth - second * second) / all.packets;
    all.sampling_ms = std::sqrt(variance) / (2 * all.ms);
  }
  return all;
}

// A uniform jitter is asked for by its half width, which is sqrt(3) deviations; others by their
// deviation. The fourth moment of a pareto is infinite: its deviation is that of a few late
// packets.
void SetSpread(const FaultEffect& effect, const Measure& measure, ParameterResult* result) {
  constexpr double kFewestPackets = 30;  // below, the interval holds too seldom
  constexpr double kFewestBuckets = 3;   // in deviations of one
  if (effect.counters().delays_measured() == 0) return NotMeasured("no packet was delayed", result);
  if (measure.shape == "pareto") {
    return NotMeasured("a few late packets make a pareto's deviation; see the percentiles", result);
  }
  const Deviation deviation = DeviationOf(effect.given());
  if (deviation.packets == 0) {
    return NotMeasured("there was no room for the histogram of its delays", result);
  }
  if (deviation.packets < kFewestPackets) {
    return NotMeasured(fmt::format("only {} packets were delayed", deviation.packets), result);
  }
  if (deviation.ms < kFewestBuckets * deviation.bucket_ms) {
    return NotMeasured(fmt::format("it is too small for a histogram with buckets of {:.2g} ms",
                                   std::sqrt(12) * deviation.bucket_ms),
                       result);
  }
  const double scale = measure.shape == "uniform" ? std::sqrt(3) : 1;
  const double off_ms =
      kZ * deviation.sampling_ms + 2 * deviation.bucket_ms * deviation.bucket_ms / deviation.ms;
  result->set_measured(true);
  result->set_value(scale * deviation.ms);
  result->set_samples(static_cast<uint64_t>(deviation.packets));
  if (measure.correlated) return result->set_no_interval_reason(kCorrelated);
  SetInterval(scale * std::max(0.0, deviation.ms - off_ms), scale * (deviation.ms + off_ms),
              result);
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
  SetInterval(std::max(0.0, rate_bps - kPacketBits / seconds), rate_bps + kPacketBits / seconds,
              result);
  result->set_samples(counters.delays_measured());
}

// With Wilson's interval, which holds where each packet's fate is its own.
void SetShare(const FaultCounters& counters, const Measure& measure, ParameterResult* result) {
  if (counters.matched() == 0) return NotMeasured("no packet matched", result);
  const auto n = static_cast<double>(counters.matched());
  const uint64_t hits = CounterNamed(counters, measure.by);
  const double share = std::min(1.0, static_cast<double>(hits) / n);
  const double middle = (share + kZ * kZ / (2 * n)) / (1 + kZ * kZ / n);
  const double half =
      kZ * std::sqrt(share * (1 - share) / n + kZ * kZ / (4 * n * n)) / (1 + kZ * kZ / n);
  result->set_measured(true);
  result->set_value(share * 100);
  result->set_samples(counters.matched());
  result->set_hits(hits);
  if (measure.correlated) return result->set_no_interval_reason(kCorrelated);
  SetInterval(std::max(0.0, middle - half) * 100, std::min(1.0, middle + half) * 100, result);
}

void SetResult(const FaultEffect& effect, const Measure& measure, ParameterResult* result) {
  if (measure.by == kMeanDelay) return SetMeanDelay(effect, result);
  if (measure.by == kSpread) return SetSpread(effect, measure, result);
  if (measure.by == kLinkRate) return SetLinkRate(effect.counters(), result);
  SetShare(effect.counters(), measure, result);
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
  for (const FaultEffect& effect : report->left_out().faults()) {
    if (effect.fault_index() == result.fault_index()) AddUp(effect, &all);
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
  const bool correlated = IsCorrelated(fault);
  if (const auto* effect = faults::CountedEffectOf(*kind)) {
    AddMeasured(RowOf(fault_index, effect->name(), effect->asked(), "%"),
                {effect->measured_by(), "", correlated}, report);
  }
  const std::string shape = ParameterOf(fault, "distribution");
  const chaos::v1::FaultKindInfo described = faults::Describe(*kind);
  for (const auto& info : described.parameters()) {
    const auto asked = fault.parameters().find(info.name());
    if (asked == fault.parameters().end() || !AskedFor(info, asked->second)) continue;
    ParameterResult row = RowOf(fault_index, info.name(), asked->second, info.unit());
    if (info.measured_by().empty()) {
      AddUnmeasured(std::move(row), faults::WhyNotMeasured(*kind, info.name()), report);
    } else {
      AddMeasured(std::move(row), {info.measured_by(), shape, correlated}, report);
    }
  }
}

}  // namespace

void AddUp(const FaultEffect& from, FaultEffect* into) {
  control::AddUpCounters(from.counters(), into->mutable_counters());
  AddSums(from, into);
}

void AddParameters(Report* report) {
  const auto& faults = report->experiment().faults();
  for (int i = 0; i < faults.size(); ++i) AddFault(static_cast<uint32_t>(i), faults[i], report);
}

}  // namespace faultline::server
