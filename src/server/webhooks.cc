#include "server/webhooks.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <optional>

#include "base/clock.h"
#include "base/log.h"

namespace faultline::server {
namespace {

constexpr std::chrono::seconds kTick{1};
constexpr uint64_t kProposeNs = 10 * kNanosPerSecond;
constexpr uint32_t kVersion = 4;  // of notices and MoveWebhooks

std::string ToJson(const chaos::v1::WebhookEvent& event) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  // Cannot fail: the message has no Any.
  (void)google::protobuf::util::MessageToJsonString(event, &json, options);
  return json;
}

// The receiver has read the post and does not want it: it would say the same again.
bool IsRefusal(unsigned status) {
  return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

}  // namespace

Webhooks::Webhooks(std::vector<WebhookConfig> configs, Strand* strand, ControlPlane* plane,
                   Send send)
    : configs_(std::move(configs)), strand_(strand), plane_(plane), send_(std::move(send)) {
  for (size_t i = 0; i < configs_.size(); ++i) hooks_.emplace_back();
}

void Webhooks::Start() {
  if (!configs_.empty()) strand_->Post([this] { Tick(); });
}

void Webhooks::OnChange() {
  if (configs_.empty() || posted_.exchange(true)) return;
  if (!strand_->Post([this] { Look(); })) posted_ = false;
}

void Webhooks::Tick() {
  strand_->PostAfter(kTick, [this] { Tick(); });
  Look();
  if (term_ != 0) RecordCursors();
}

void Webhooks::Look() {
  posted_ = false;
  const raft::View view = plane_->view();
  // Before the first entry of its own term is applied, a leader may not know what the one before
  // has recorded.
  if (view.role != raft::Role::kLeader || plane_->version().term() != view.term) {
    for (Hook& hook : hooks_) hook.meters.oldest_ms.Set(0);
    term_ = 0;
    return;
  }
  if (term_ != view.term) Begin(view.term);
  for (size_t i = 0; i < hooks_.size(); ++i) Advance(i);
}

void Webhooks::Begin(uint64_t term) {
  term_ = term;
  recording_ = false;
  plane_->With([this](const control::State& state, const chaos::v1::StateVersion& version) {
    for (size_t i = 0; i < hooks_.size(); ++i) {
      Hook& hook = hooks_[i];
      const auto cursor = state.webhooks.find(configs_[i].name);
      // What happened before a webhook was known is no news to it.
      const bool known = cursor != state.webhooks.end();
      hook.recorded = known ? cursor->second : 0;
      hook.after = control::AfterIndex(known ? cursor->second : version.revision());
      hook.is_new = !known;
      hook.unrecorded = !known;
      hook.waiting.clear();
      hook.read_at = 0;
      hook.sending = false;
      hook.failures = 0;
      hook.tried = false;
      hook.next_ns = 0;
    }
  });
}

void Webhooks::Advance(size_t webhook) {
  Hook& hook = hooks_[webhook];
  if (hook.sending) return;
  Read(webhook);
  while (IsGivenUp(hook)) {
    FL_LOG(error, "webhook {}: event {} is given up: it was not taken for a day",
           configs_[webhook].name, hook.waiting.front().event.id());
    hook.meters.given_up.Add();
    SettleFirst(&hook);
    Read(webhook);
  }
  hook.meters.oldest_ms.Set(hook.waiting.empty() ? 0 : AgeOfFirst(hook).count());
  if (!hook.waiting.empty() && MonotonicNowNs() >= hook.next_ns) SendFirst(webhook);
}

std::chrono::milliseconds Webhooks::AgeOfFirst(const Hook& hook) const {
  const int64_t since_ms = control::ToUnixMs(hook.waiting.front().event.time());
  return std::chrono::milliseconds(std::max<int64_t>(plane_->unix_ms() - since_ms, 1));
}

bool Webhooks::IsGivenUp(const Hook& hook) const {
  if (hook.waiting.empty() || !hook.tried) return false;
  const std::chrono::nanoseconds failing(BoottimeNowNs() - hook.failing_since_ns);
  return AgeOfFirst(hook) > kGiveUp && failing > kGiveUp;
}

void Webhooks::Read(size_t webhook) {
  Hook& hook = hooks_[webhook];
  if (!hook.waiting.empty()) return;
  plane_->With([&](const control::State& state, const chaos::v1::StateVersion& version) {
    if (hook.read_at == version.revision()) return;
    auto events = control::EventsAfter(state, hook.after, configs_[webhook].events, kReadAtOnce);
    if (events.empty()) {
      hook.read_at = version.revision();
      hook.after = std::max(hook.after, control::AfterIndex(version.revision()));
    }
    std::move(events.begin(), events.end(), std::back_inserter(hook.waiting));
  });
}

void Webhooks::SendFirst(size_t webhook) {
  Hook& hook = hooks_[webhook];
  const WebhookConfig& config = configs_[webhook];
  WebhookPost post;
  post.id = hook.waiting.front().event.id();
  post.timestamp = fmt::format("{}", UnixNowNs() / static_cast<int64_t>(kNanosPerSecond));
  post.body = ToJson(hook.waiting.front().event);
  post.signature = SignPost(config.key, post.id, post.timestamp, post.body);
  hook.sending = true;
  send_(webhook, std::move(post), [this, webhook, term = term_](StatusOr<unsigned> answer) {
    strand_->Post(
        [this, webhook, term, answer = std::move(answer)] { OnAnswer(webhook, term, answer); });
  });
}

void Webhooks::OnAnswer(size_t webhook, uint64_t term, const StatusOr<unsigned>& answer) {
  // What another term has sent, this one sends again.
  if (term != term_) return;
  Hook& hook = hooks_[webhook];
  hook.sending = false;
  if (!answer.ok()) return Fail(webhook, ToString(answer.status().message()));
  if (IsRefusal(*answer)) {
    FL_LOG(warn, "webhook {}: event {} is refused with status {}", configs_[webhook].name,
           hook.waiting.front().event.id(), *answer);
    hook.meters.refused.Add();
  } else if (*answer >= 200 && *answer < 300) {
    hook.meters.delivered.Add();
  } else {
    return Fail(webhook, fmt::format("status {}", *answer));
  }
  if (hook.failures > 0) FL_LOG(info, "webhook {} takes events again", configs_[webhook].name);
  hook.failures = 0;
  hook.next_ns = 0;
  SettleFirst(&hook);
  Advance(webhook);
}

void Webhooks::SettleFirst(Hook* hook) {
  hook->tried = false;
  hook->after = hook->waiting.front().place;
  hook->waiting.pop_front();
  hook->read_at = 0;
  hook->unrecorded = true;
}

void Webhooks::Fail(size_t webhook, const std::string& why) {
  Hook& hook = hooks_[webhook];
  hook.meters.failed.Add();
  if (hook.failures == 0) {
    hook.failing_since_ns = BoottimeNowNs();
    FL_LOG(warn, "webhook {}: {}; trying again", configs_[webhook].name, why);
  }
  hook.tried = true;
  const uint64_t pause_ns = kFirstPauseNs << std::min(hook.failures, 6);
  ++hook.failures;
  hook.next_ns = MonotonicNowNs() + std::min(pause_ns, kLongestPauseNs);
}

void Webhooks::RecordCursors() {
  const bool known = plane_->With(
      [](const control::State& state, const auto&) { return state.version >= kVersion; });
  if (recording_ || !known) return;
  control::v1::Command command;
  for (size_t i = 0; i < hooks_.size(); ++i) {
    Hook& hook = hooks_[i];
    const uint64_t settled =
        hook.waiting.empty() ? hook.after.index : hook.waiting.front().place.index - 1;
    if (!std::exchange(hook.unrecorded, false) || settled <= hook.recorded) continue;
    hook.recorded = settled;
    auto* cursor = command.mutable_move_webhooks()->add_cursors();
    cursor->set_name(configs_[i].name);
    cursor->set_index(settled);
  }
  if (!command.has_move_webhooks()) return;
  recording_ = true;
  plane_->Propose(std::move(command), MonotonicNowNs() + kProposeNs,
                  [this, term = term_](const StatusOr<ControlPlane::Proposed>& proposed) {
                    strand_->Post([this, term, ok = proposed.ok()] {
                      if (term == term_) OnRecorded(ok);
                    });
                  });
}

void Webhooks::OnRecorded(bool ok) {
  recording_ = false;
  for (size_t i = 0; i < hooks_.size(); ++i) {
    Hook& hook = hooks_[i];
    if (!ok) {
      hook.recorded = 0;
      hook.unrecorded = true;
    } else if (std::exchange(hook.is_new, false)) {
      FL_LOG(info, "webhook {} is told of what happens from now on", configs_[i].name);
    }
  }
}

}  // namespace faultline::server
