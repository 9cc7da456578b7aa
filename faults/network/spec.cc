#include "faults/network/spec.h"

#include <cmath>
#include <set>
#include <string>

#include "faults/network/answer_spec.h"
#include "faults/network/filter_spec.h"
#include "faults/network/http_spec.h"
#include "faults/network/local_ports_spec.h"
#include "faults/network/stacking_spec.h"
#include "network/v1/answers.pb.h"
#include "network/v1/parameters.pb.h"

namespace faultline::network {
namespace {

namespace v1 = ::network::v1;
using google::protobuf::Message;

std::string Field(std::string_view prefix, std::string_view name) {
  return fmt::format("{}{}", prefix, name);
}

Status ValidateTable(const v1::NetworkLatency& latency, std::string_view prefix) {
  const std::set<uint32_t> values(latency.table_us().begin(), latency.table_us().end());
  const bool wanted = latency.distribution() == v1::DISTRIBUTION_TABLE;
  const bool sound = values.size() >= 2 && latency.table_us_size() <= kMaxTableValues;
  if (wanted ? sound : values.empty()) return absl::OkStatus();
  return FieldError(Field(prefix, "table_us"),
                    fmt::format("{}", fmt::join(latency.table_us(), ",")),
                    wanted ? fmt::format("2 to {} values, not all the same", kMaxTableValues)
                           : "nothing unless distribution is table");
}

// None of a uniform shape is cut off, and so it keeps its mean. Others may be, far from theirs.
Status ValidateJitter(const v1::NetworkLatency& latency, std::string_view prefix) {
  constexpr double kLongestMs = 60'000;  // DelayModel::kMaxDelayNs
  const double delay = latency.delay_ms(), jitter = latency.jitter_ms();
  const auto refuse = [&](const std::string& allowed) {
    return FieldError(Field(prefix, "jitter_ms"), fmt::format("{}", jitter), allowed);
  };
  if (jitter > delay) return refuse(fmt::format("at most the delay, {} ms", delay));
  const bool may_be_cut = latency.distribution() == v1::DISTRIBUTION_NORMAL ||
                          latency.distribution() == v1::DISTRIBUTION_PARETO ||
                          latency.distribution() == v1::DISTRIBUTION_TABLE;
  if (may_be_cut || delay + jitter <= kLongestMs) return absl::OkStatus();
  return refuse(
      fmt::format("at most {:.10g} ms with distribution uniform: no packet is held for "
                  "more than {} ms, and the delay is {} ms",
                  kLongestMs - delay, kLongestMs, delay));
}

Status ValidateLatency(const Message& message, std::string_view prefix) {
  const auto& latency = static_cast<const v1::NetworkLatency&>(message);
  FL_RETURN_IF_ERROR(ValidateJitter(latency, prefix));
  FL_RETURN_IF_ERROR(ValidateTable(latency, prefix));
  return ValidateFilter(latency.filter(), prefix);
}

// Good and bad periods that make the share asked.
Status ValidatePeriods(const v1::NetworkLoss& loss, std::string_view prefix) {
  const double share = loss.loss_percent();
  const double good = loss.good_loss_percent(), bad = loss.bad_loss_percent();
  if (good >= bad) {
    return FieldError(Field(prefix, "good_loss_percent"), fmt::format("{}", good),
                      fmt::format("less than bad_loss_percent, {} %", bad));
  }
  if (share < good || share >= bad) {
    return FieldError(
        Field(prefix, "loss_percent"), fmt::format("{}", share),
        fmt::format("{} to less than {} %, the shares lost in good and in bad periods", good, bad));
  }
  // A good period lasts a packet at least, and so a bad one this long.
  const double shortest = (share - good) / (bad - share);
  if (loss.burst_packets() < shortest) {
    return FieldError(Field(prefix, "burst_packets"), fmt::format("{}", loss.burst_packets()),
                      fmt::format("at least {:.3f}, or the share asked is out of reach", shortest));
  }
  return absl::OkStatus();
}

Status ValidateLoss(const Message& message, std::string_view prefix) {
  const auto& loss = static_cast<const v1::NetworkLoss&>(message);
  if (loss.correlation_percent() > 0 && loss.model() != v1::LOSS_MODEL_RANDOM) {
    return FieldError(Field(prefix, "correlation_percent"),
                      fmt::format("{}", loss.correlation_percent()), "0 unless model is random");
  }
  if (loss.model() == v1::LOSS_MODEL_GILBERT_ELLIOTT) {
    FL_RETURN_IF_ERROR(ValidatePeriods(loss, prefix));
  }
  if (loss.model() == v1::LOSS_MODEL_EVERY_NTH) {
    constexpr double kRounding = 0.005;
    const double distance = 100 / loss.loss_percent();
    if (!std::isfinite(distance) ||
        std::abs(distance - std::round(distance)) > kRounding * distance) {
      return FieldError(Field(prefix, "loss_percent"), fmt::format("{}", loss.loss_percent()),
                        "100 divided by a whole number, such as 50, 33.3, 25, 20 or 1, with model "
                        "every_nth");
    }
  }
  return ValidateFilter(loss.filter(), prefix);
}

Status ValidateBandwidth(const Message& message, std::string_view prefix) {
  constexpr double kPacketBytes = 1514, kLongestSeconds = 60;
  const auto& bandwidth = static_cast<const v1::NetworkBandwidth&>(message);
  const double longest = bandwidth.rate_bps() / 8 * kLongestSeconds;
  const double queue = bandwidth.queue_bytes();
  if ((queue > 0 && queue < kPacketBytes) || queue > longest) {
    return FieldError(
        Field(prefix, "queue_bytes"), fmt::format("{}", queue),
        fmt::format("0, or {} (one packet) to {:.0f} bytes (what {} bps send in {} s)",
                    kPacketBytes, longest, bandwidth.rate_bps(), kLongestSeconds));
  }
  return ValidateFilter(bandwidth.filter(), prefix);
}

Status ValidatePartition(const Message& message, std::string_view prefix) {
  const auto& partition = static_cast<const v1::NetworkPartition&>(message);
  const auto groups = ParseGroups(partition.groups());
  if (!groups.ok()) {
    return FieldError(Field(prefix, "groups"),
                      fmt::format("{}", fmt::join(partition.groups(), ",")),
                      ToString(groups.status().message()));
  }
  if (partition.ways() == v1::PARTITION_WAYS_FORWARD && groups->size() != 2) {
    return FieldError(Field(prefix, "ways"), "forward", "both, or else two groups exactly");
  }
  return ValidateFilter(FilterOf(partition), prefix);
}

template <typename Parameters>
Status ValidateFilterOf(const Message& message, std::string_view prefix) {
  return ValidateFilter(static_cast<const Parameters&>(message).filter(), prefix);
}

constexpr faults::Kind kKinds[] = {
    {&v1::NetworkLatency::descriptor,
     ValidateLatency,
     {kDelay, ActsOn<v1::NetworkLatency>, LocalPorts<v1::NetworkLatency>, nullptr,
      EffectsOfLatency}},
    {&v1::NetworkLoss::descriptor,
     ValidateLoss,
     {kLose, ActsOn<v1::NetworkLoss>, LocalPorts<v1::NetworkLoss>, nullptr, EffectsOfLoss}},
    {&v1::NetworkBandwidth::descriptor,
     ValidateBandwidth,
     {kLimitRate, ActsOn<v1::NetworkBandwidth>, LocalPorts<v1::NetworkBandwidth>, nullptr,
      EffectsOfBandwidth}},
    {&v1::NetworkBlackhole::descriptor,
     ValidateFilterOf<v1::NetworkBlackhole>,
     {kLose, ActsOn<v1::NetworkBlackhole>, LocalPorts<v1::NetworkBlackhole>, nullptr,
      EffectsOfLosingAll}},
    {&v1::NetworkPartition::descriptor,
     ValidatePartition,
     {kLose, BothDirections, LocalPorts<v1::NetworkPartition>, nullptr, EffectsOfLosingAll}},
    {&v1::NetworkDuplicate::descriptor,
     ValidateFilterOf<v1::NetworkDuplicate>,
     {kDuplicate, ActsOn<v1::NetworkDuplicate>, LocalPorts<v1::NetworkDuplicate>, nullptr,
      EffectsOfDuplicate}},
    {&v1::NetworkCorrupt::descriptor,
     ValidateFilterOf<v1::NetworkCorrupt>,
     {kCorrupt, ActsOn<v1::NetworkCorrupt>, LocalPorts<v1::NetworkCorrupt>, nullptr,
      EffectsOfCorrupt}},
    {&v1::NetworkReorder::descriptor,
     ValidateFilterOf<v1::NetworkReorder>,
     {kHoldBack, ActsOn<v1::NetworkReorder>, LocalPorts<v1::NetworkReorder>, nullptr,
      EffectsOfReorder}},
    {&v1::TcpReset::descriptor,
     ValidateTcpReset,
     {kReset, ActsOn<v1::TcpReset>, LocalPorts<v1::TcpReset>}},
    {&v1::ConnectFail::descriptor,
     ValidateConnectFail,
     {kRefuse, ActsOn<v1::ConnectFail>, LocalPorts<v1::ConnectFail>, OccupiesConnects}},
    {&v1::DnsFault::descriptor,
     ValidateDnsFault,
     {kAnswerDns, ActsOn<v1::DnsFault>, LocalPorts<v1::DnsFault>, OccupiesNames}},
    {&v1::HttpFault::descriptor,
     ValidateHttpFault,
     {kAnswerHttp, ActsOn<v1::HttpFault>, LocalPorts<v1::HttpFault>, OccupiesRequests}},
};

}  // namespace

std::span<const faults::Kind> Kinds() { return kKinds; }

}  // namespace faultline::network
