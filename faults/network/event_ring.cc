#include "faults/network/event_ring.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace faultline::network {
namespace {

using chaos::v1::TrafficEvent;

constexpr std::array<const char*, FL_PROTOS> kProtocols = {"tcp", "udp", "icmp", "other"};
constexpr std::array<chaos::v1::TrafficEventType, FL_TELLS> kTypes = {
    chaos::v1::TRAFFIC_EVENT_TYPE_REFUSED,
    chaos::v1::TRAFFIC_EVENT_TYPE_RESET,
    chaos::v1::TRAFFIC_EVENT_TYPE_KERNEL_DROP,
    chaos::v1::TRAFFIC_EVENT_TYPE_FAILED,
};

std::string AddressText(const __u32 (&address)[4]) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address[0] == 0 && address[1] == 0 && address[2] == htonl(0xffff)) {
    inet_ntop(AF_INET, &address[3], text, sizeof(text));
  } else {
    inet_ntop(AF_INET6, address, text, sizeof(text));
  }
  return text;
}

TrafficEvent ToMessage(const fl_event& event, int64_t unix_minus_boottime_ns,
                       const EventRing::ReasonName& reason_name) {
  TrafficEvent out;
  out.set_timestamp_ns(static_cast<int64_t>(event.at_ns) + unix_minus_boottime_ns);
  out.set_type(kTypes[event.type % FL_TELLS]);
  out.set_sent(event.direction == FL_EGRESS);
  out.set_protocol(kProtocols[event.protocol % FL_PROTOS]);
  out.set_local_address(AddressText(event.address[FL_LOCAL]));
  out.set_local_port(event.local_port);
  out.set_peer_address(AddressText(event.address[FL_PEER]));
  out.set_peer_port(event.peer_port);
  if (event.type == FL_TELL_DROP) out.set_reason(reason_name(event.reason));
  if (event.type == FL_TELL_FAILED) {
    out.set_reason(
        fmt::format("{}: {}", event.open != 0 ? "connection" : "handshake",
                    event.reason == 0 ? "its program gave up" : ErrnoText(int(event.reason))));
  }
  return out;
}

}  // namespace

void EventRing::FreeRing::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

StatusOr<std::unique_ptr<EventRing>> EventRing::Open(int map_fd) {
  std::unique_ptr<EventRing> events(new EventRing);
  events->ring_.reset(ring_buffer__new(map_fd, OnEvent, events.get(), nullptr));
  if (!events->ring_) {
    return MakeError(StatusCode::kInternal, "opening the ring of events failed: {}",
                     ErrnoText(errno));
  }
  return events;
}

int EventRing::OnEvent(void* self, void* data, size_t size) {
  fl_event event;
  if (size < sizeof(event)) return 0;
  std::memcpy(&event, data, sizeof(event));
  static_cast<EventRing*>(self)->waiting_[event.target % FL_MAX_TARGETS].push_back(event);
  return 0;
}

void EventRing::Take(unsigned target, const ReasonName& reason_name,
                     chaos::v1::TrafficDetail* traffic) {
  ring_buffer__consume(ring_.get());
  if (waiting_[target].empty()) return;
  const int64_t unix_minus_boottime_ns = UnixNowNs() - static_cast<int64_t>(BoottimeNowNs());
  for (const fl_event& event : std::exchange(waiting_[target], {})) {
    TrafficEvent message = ToMessage(event, unix_minus_boottime_ns, reason_name);
    if (event.type == FL_TELL_DROP && message.reason().empty()) continue;
    *traffic->add_events() = std::move(message);
  }
}

}  // namespace faultline::network
