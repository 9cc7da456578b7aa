// What webhooks are told, read from the state: every event can be made again by any node, and is
// the same each time. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <set>
#include <vector>

#include "chaos/v1/webhook.pb.h"
#include "control/state.h"

namespace faultline::control {

using WebhookTypes = std::set<chaos::v1::WebhookEventType>;

// Where an event stands among all of them.
struct NoticePlace {
  uint64_t index = 0;       // in the log
  uint64_t experiment = 0;  // its created_index
  int notice = 0;           // position in its notices
  auto operator<=>(const NoticePlace&) const = default;
};

// The place after all events up to that log index.
NoticePlace AfterIndex(uint64_t index);

struct PlacedEvent {
  NoticePlace place;
  chaos::v1::WebhookEvent event;
};

// The first `limit` events of these types after that place, in order.
std::vector<PlacedEvent> EventsAfter(const State& state, const NoticePlace& after,
                                     const WebhookTypes& types, size_t limit);

// Moves cursors forward, and forgets those that are furthest behind beyond kMaxWebhookCursors.
void MoveCursors(const v1::MoveWebhooks& command, std::map<std::string, uint64_t>* cursors);

// WEBHOOK_EVENT_TYPE_LOST_TARGET: "lost_target"; and back, UNSPECIFIED when it is none.
std::string WebhookTypeWord(chaos::v1::WebhookEventType type);
chaos::v1::WebhookEventType WebhookTypeOf(std::string_view word);

}  // namespace faultline::control
