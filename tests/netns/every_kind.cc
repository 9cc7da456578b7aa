#include "netns/every_kind.h"

#include <algorithm>

#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using Traffic = KindAtWork::Traffic;

// Each of three datagrams is as large as a slower link's queue is at the least.
constexpr size_t kDatagramBytes = 1400;

std::vector<std::string> MessagesOf(Traffic traffic) {
  if (traffic == Traffic::kQuery) return {DnsQuery()};
  if (traffic == Traffic::kRequest) return {"GET / HTTP/1.1\r\nHost: a\r\n\r\n"};
  std::vector<std::string> messages;
  for (const char letter : {'a', 'b', 'c'}) messages.emplace_back(kDatagramBytes, letter);
  return messages;
}

}  // namespace

const std::vector<KindAtWork>& EveryKind() {
  static const std::vector<KindAtWork> kinds = {
      {"NETWORK_LATENCY", {{"delay_ms", "60000"}}},
      {"NETWORK_LOSS", {{"loss_percent", "100"}}},
      {"NETWORK_DUPLICATE", {{"duplicate_percent", "100"}}},
      {"NETWORK_CORRUPT", {{"corrupt_percent", "100"}, {"part", "payload"}}},
      {"NETWORK_REORDER", {{"reorder_percent", "100"}, {"hold_ms", "60000"}}},
      // One datagram takes almost a second, and what comes meanwhile finds no room.
      {"NETWORK_BANDWIDTH", {{"rate_bps", "12kbps"}, {"queue_bytes", "1514"}}},
      {"NETWORK_PARTITION", {{"groups", "10.209.0.1,10.209.0.2"}}},
      {"NETWORK_BLACKHOLE", {}},
      {"TCP_RESET", {{"tcp_flags", "psh"}}, Traffic::kRequest},
      {"CONNECT_FAIL", {{"direction", "ingress"}}, Traffic::kRequest},
      {"DNS_FAULT",
       {{"direction", "ingress"}, {"names", "*"}, {"local_port", std::to_string(kEchoPort)}},
       Traffic::kQuery},
      {"HTTP_FAULT", {{"direction", "ingress"}}, Traffic::kRequest},
  };
  return kinds;
}

bool ComesThrough(const Network& network, const KindAtWork& kind,
                  std::chrono::milliseconds patience) {
  const bool tcp = kind.traffic == Traffic::kRequest;
  if (tcp && TryConnect(network, Network::kServer4, kEchoPort) != 0) return false;
  Client client(network, tcp ? Protocol::kTcp : Protocol::kUdp, Network::kServer4, kEchoPort);
  std::string sent;
  for (const std::string& message : MessagesOf(kind.traffic)) {
    client.Send(message);
    sent += message;
  }
  std::string back = client.Receive(sent.size(), patience);
  if (kind.traffic != Traffic::kDatagrams) return back == sent;
  // Each is of another letter. Their order is the processors' business.
  std::ranges::sort(back);
  return back == sent;
}

std::string NameOf(const testing::TestParamInfo<KindAtWork>& kind) {
  std::string name = kind.param.kind;
  std::erase(name, '_');
  return name;
}

}  // namespace faultline::netns_test
