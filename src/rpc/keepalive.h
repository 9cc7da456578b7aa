// How soon agents and clients notice that their node is gone without a word: its power, its cable
// or its process (SIGSTOP); and that its address has changed. Includes gRPC.
#pragma once

#include <grpcpp/support/channel_arguments.h>

namespace faultline::rpc {

// A node that has said nothing for the first of these is asked for a sign of life, and given up
// when it owes one for the second: together they leave room to go on at another node within 2 s.
// gRPC sends no two pings within a second, so that on a connection by which nothing else comes the
// first is 1 s. The second is what a busy machine may take to answer; whoever is given up wrongly
// is left without a hole (agent::MetricsBuffer, client::MetricResume).
inline constexpr int kKeepaliveMs = 700;
inline constexpr int kKeepaliveTimeoutMs = 600;

// What a listener must let pass, or it ends the connection (too_many_pings): two that came late and
// together as well.
inline constexpr int kLeastPingIntervalMs = 100;

// An address' name is looked up again, when a connection was lost or could not be made, no sooner
// than so long after the last time. gRPC's own is 30 s.
inline constexpr int kLeastLookUpIntervalMs = 1'000;

// What a channel to a node begins with.
inline grpc::ChannelArguments KeptAlive() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, kLeastLookUpIntervalMs);
  return arguments;
}

}  // namespace faultline::rpc
