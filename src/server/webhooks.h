// The leader's part that tells webhooks what happens. Nothing is queued: events are read from the
// replicated state, a few at a time, so that a receiver that is away costs no memory and holds up
// nobody. How far each receiver has come is a cursor in the state, so that the next leader goes on
// there; an event may then come twice, with the same id. Does nothing where the node does not lead.
//
// Threads: one strand owns it; OnChange and meters may be called from any thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/meter.h"
#include "base/strand.h"
#include "server/control_plane.h"
#include "server/webhook_config.h"

namespace faultline::server {

struct WebhookPost {
  std::string id;
  std::string timestamp;  // Unix seconds, decimal
  std::string signature;
  std::string body;  // chaos.v1.WebhookEvent as JSON
};

class Webhooks {
 public:
  // An event so old is given up when its receiver has failed this leader for so long, so that the
  // next ones go on. Its age alone says nothing: the Unix clock may have been set.
  static constexpr std::chrono::hours kGiveUp{24};
  // Between two attempts: the first, doubled each time up to the last.
  static constexpr uint64_t kFirstPauseNs = 1'000'000'000;
  static constexpr uint64_t kLongestPauseNs = 60'000'000'000;
  // Events read from the state at once, for each webhook.
  static constexpr size_t kReadAtOnce = 32;

  // Sends to the webhook of that number; `done` gets the answer's HTTP status or why there was
  // none, once or, when all ends, never, from any thread.
  using Send = std::function<void(size_t webhook, WebhookPost post,
                                  std::function<void(StatusOr<unsigned>)> done)>;

  // By webhook. Only grow, but for oldest_ms: how long ago, when this was last looked at, the
  // oldest event that is known not to be taken happened; 0: none.
  struct Meters {
    Counter delivered, refused, given_up;  // events
    Counter failed;                        // posts without a good answer, to be repeated
    Level oldest_ms;
  };

  // Strand and plane outlive the object's last task on the strand.
  Webhooks(std::vector<WebhookConfig> configs, Strand* strand, ControlPlane* plane, Send send);

  // Begins to look.
  void Start();
  // The state has changed.
  void OnChange();

  const std::vector<WebhookConfig>& configs() const { return configs_; }
  const Meters& meters(size_t webhook) const { return hooks_[webhook].meters; }

 private:
  struct Hook {
    control::NoticePlace after;  // all up to here is settled
    std::deque<control::PlacedEvent> waiting;
    uint64_t read_at = 0;  // revision of the state that nothing more was found in
    bool sending = false;
    int failures = 0;               // in a row
    bool tried = false;             // the oldest event that waits was posted, in vain
    uint64_t failing_since_ns = 0;  // CLOCK_BOOTTIME, of the first of these
    uint64_t next_ns = 0;           // CLOCK_MONOTONIC
    bool is_new = false;            // the state has no cursor of it yet
    uint64_t recorded = 0;          // cursor in the state, or on its way there
    bool unrecorded = true;         // something is settled that the cursor may not say
    Meters meters;
  };

  void Tick();
  void Look();
  // Leads since now: where the cursors in the state are.
  void Begin(uint64_t term);
  void Advance(size_t webhook);
  void Read(size_t webhook);
  void SendFirst(size_t webhook);
  void OnAnswer(size_t webhook, uint64_t term, const StatusOr<unsigned>& answer);
  // Of the oldest event that waits, on the clock that it was stamped by.
  std::chrono::milliseconds AgeOfFirst(const Hook& hook) const;
  bool IsGivenUp(const Hook& hook) const;
  void SettleFirst(Hook* hook);
  void Fail(size_t webhook, const std::string& why);
  void RecordCursors();
  void OnRecorded(bool ok);

  const std::vector<WebhookConfig> configs_;
  Strand* const strand_;
  ControlPlane* const plane_;
  const Send send_;
  std::atomic<bool> posted_{false};
  std::deque<Hook> hooks_;
  uint64_t term_ = 0;  // that this node leads in; 0: none
  bool recording_ = false;
};

}  // namespace faultline::server
