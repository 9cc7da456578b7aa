// What a rule does to the frames that it sends through the lane. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "faults/network/answer.h"
#include "faults/network/chance.h"
#include "faults/network/corrupt.h"
#include "faults/network/delay.h"
#include "faults/network/dns.h"
#include "faults/network/http.h"
#include "faults/network/rate_limit.h"
#include "faults/network/refuse.h"

namespace faultline::network {

// Sends a frame twice.
struct Duplicator {
  Chance chance;
};

// Holds every frame that it is given, and lets those behind overtake it.
struct HoldBack {
  uint64_t hold_ns = 0;
};

// Resets the connection of every segment that it is given.
struct Resetter {};

// Refuses every connection whose opening it is given.
struct Refuser {
  Refusal how = Refusal::kReset;
};

// One alternative for each thing that the lane can do to a frame, in the order in which a frame
// meets them, whatever its rules' own numbers (Place says the same to people). What answers comes
// last: so an answer comes as late as the frame would have gone on, and is copied with it.
using LaneRule = std::variant<RateLimit, Duplicator, Corrupter, HoldBack, DelayModel, Resetter,
                              Refuser, HttpAnswerer, DnsAnswerer>;

// A frame on its way past its rules.
struct Passing {
  uint64_t at_ns = 0;  // when it comes to this rule: its arrival plus the delays before
  unsigned direction = 0;
  std::span<uint8_t> bytes;  // as it goes back
};

// What one rule makes of it.
struct Treatment {
  uint64_t delay_ns = 0;
  size_t link_bytes = 0;  // of a slower link: what it sends for this frame
  bool waited = false;    // the link had others to send before it
  bool acted = false;     // the lane chose this frame by itself: counts as lane_acted
  bool drop = false;
  bool not_meant = false;  // it waits for others only: no delay of the rule's to be measured
  bool twice = false;
  bool overtaken = false;  // the frame, or what goes out instead, is in no order with its flow
  bool drawn = false;      // the delay is one of many that it could have been
  std::vector<Answer> answers{};  // these go out instead of it, and it meets no further rule
};

Treatment Treat(LaneRule* rule, const Passing& frame);

// How long the rule holds each frame that it means, on average; 0 for what holds none, and for a
// slower link, whose queue has its own limit.
uint64_t HoldNs(const LaneRule& rule);

// Whether the rule needs every packet by itself, checksums complete: no trains of segments that a
// network card would cut.
bool NeedsSinglePackets(const LaneRule& rule);

}  // namespace faultline::network
