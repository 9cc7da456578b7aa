// Kinds whose packets are answered in their receiver's place.
#include <arpa/inet.h>

#include "faults/network/dns_name_spec.h"
#include "faults/network/plan.h"
#include "faults/network/plan_units.h"

namespace faultline::network {
namespace {

namespace pb = ::network::v1;

// The lane makes of every packet that it gets what `answerer` says.
ActionPlan AnswerAll(LaneRule answerer) {
  ActionPlan plan;
  plan.action = FL_ACT_LANE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  plan.lane = std::move(answerer);
  return plan;
}

ActionPlan LoseAll() {
  ActionPlan plan;
  plan.action = FL_ACT_LOSE;
  plan.choice.chance_of_2_32 = FL_ALWAYS;
  return plan;
}

DnsReply ReplyOf(const pb::DnsFault& fault) {
  using Kind = DnsReply::Kind;
  constexpr uint8_t kServerFailure = 2, kNoSuchName = 3, kRefused = 5;  // RCODEs
  switch (fault.answer()) {
    case pb::DNS_FAILURE_SERVFAIL:
      return {.kind = Kind::kError, .error = kServerFailure};
    case pb::DNS_FAILURE_REFUSED:
      return {.kind = Kind::kError, .error = kRefused};
    case pb::DNS_FAILURE_TIMEOUT:
      return {.kind = Kind::kNothing};
    case pb::DNS_FAILURE_ADDRESS:
      break;
    default:
      return {.kind = Kind::kError, .error = kNoSuchName};
  }
  DnsReply reply{.kind = Kind::kAddresses};
  for (const std::string& text : fault.addresses()) {
    uint8_t bytes[sizeof(in6_addr)];
    if (inet_pton(AF_INET, text.c_str(), bytes) == 1) {
      reply.addresses.emplace_back(bytes, bytes + sizeof(in_addr));
    } else if (inet_pton(AF_INET6, text.c_str(), bytes) == 1) {
      reply.addresses.emplace_back(bytes, bytes + sizeof(in6_addr));
    }
  }
  return reply;
}

HttpOutcome OutcomeOf(const pb::HttpFault& fault) {
  using Kind = HttpOutcome::Kind;
  return {.kind = fault.failure() == pb::HTTP_FAILURE_RESET   ? Kind::kReset
                  : fault.failure() == pb::HTTP_FAILURE_DELAY ? Kind::kPass
                                                              : Kind::kStatus,
          .status = fault.status(),
          .delay_ns = MillisToNanos(fault.delay_ms())};
}

std::vector<std::string> ToPatterns(const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::vector<std::string> patterns;
  for (const std::string& name : names) {
    if (auto pattern = ParseNamePattern(name); pattern.ok())
      patterns.push_back(std::move(*pattern));
  }
  return patterns;
}

}  // namespace

// An opening is no connection yet, and a reset ends one already.
ActionPlan Plan(const pb::TcpReset&, uint64_t /*seed*/) {
  ActionPlan plan = AnswerAll(Resetter{});
  plan.only = {.protocols = {FL_PROTO_TCP}, .flags = {.mask = kTcpSyn | kTcpRst, .value = 0}};
  plan.acted.in_lane = &chaos::v1::FaultCounters::set_resets;
  return plan;
}

ActionPlan Plan(const pb::ConnectFail& fail, uint64_t /*seed*/) {
  const bool loses = fail.failure() == pb::CONNECT_FAILURE_TIMED_OUT;
  const Refusal refusal =
      fail.failure() == pb::CONNECT_FAILURE_HOST_UNREACHABLE  ? Refusal::kHostUnreachable
      : fail.failure() == pb::CONNECT_FAILURE_NET_UNREACHABLE ? Refusal::kNetUnreachable
                                                              : Refusal::kReset;
  ActionPlan plan = loses ? LoseAll() : AnswerAll(Refuser{refusal});
  plan.only = {.protocols = {FL_PROTO_TCP}, .flags = {.mask = kTcpSyn | kTcpAck, .value = kTcpSyn}};
  (loses ? plan.acted.in_kernel : plan.acted.in_lane) =
      &chaos::v1::FaultCounters::set_connects_failed;
  return plan;
}

// The lane gets all that goes to the port and looks for the names: in one flow, order stays.
ActionPlan Plan(const pb::DnsFault& fault, uint64_t /*seed*/) {
  ActionPlan plan = AnswerAll(DnsAnswerer(ToPatterns(fault.names()), ReplyOf(fault)));
  plan.only.protocols = {FL_PROTO_UDP, FL_PROTO_TCP};
  plan.acted.in_lane = &chaos::v1::FaultCounters::set_queries_failed;
  return plan;
}

// As with DNS: all that carries data, so that requests and their bodies keep their order.
ActionPlan Plan(const pb::HttpFault& fault, uint64_t /*seed*/) {
  HttpMatch match{.methods = {fault.method().begin(), fault.method().end()},
                  .path_prefixes = {fault.path_prefix().begin(), fault.path_prefix().end()},
                  .hosts = ToPatterns(fault.host())};
  for (const std::string& text : fault.header()) {
    if (auto term = ParseHeaderTerm(text); term.ok()) match.headers.push_back(std::move(*term));
  }
  ActionPlan plan = AnswerAll(HttpAnswerer(std::move(match), OutcomeOf(fault)));
  plan.only = {.protocols = {FL_PROTO_TCP}, .payload = true};
  plan.acted.in_lane = &chaos::v1::FaultCounters::set_requests_failed;
  return plan;
}

}  // namespace faultline::network
