#include "raft/node.h"

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strand.h"
#include "raft/driver.h"
#include "raft/fetch_snapshot.h"
#include "raft/inbox.h"
#include "raft/log_store.h"
#include "raft/node_options.h"
#include "raft/snapshot_shelf.h"

namespace faultline::raft {
namespace {

// Messages received and not yet looked at; more are dropped, as a network would.
constexpr size_t kMaxMessages = 8'192;
constexpr uint64_t kMinTickNs = kNanosPerMilli / 2;
// While the disk refuses it is tried again so often.
constexpr std::chrono::milliseconds kRetryWrite{500};

class NodeImpl final : public Node, private Driver::Host {
  using Brought = Inbox::Brought;

 public:
  NodeImpl(const Options& options, StateMachine* machine, Transport* transport,
           std::unique_ptr<LogStore> store)
      : machine_(machine),
        transport_(transport),
        store_(std::move(store)),
        driver_(options, machine, this) {}

  ~NodeImpl() override {
    RunHere([this] {
      driver_.Stop();  // what was proposed before is answered too
      observer_ = nullptr;
      members_observer_ = nullptr;
    });
    transport_->StopFetching();
    stopping_ = true;
    snapshots_.Stop();
    disk_.Stop();
    inbox_.WaitUntilIdle();
    timers_.Stop();
  }

  Status Begin(LoadedLog log) {
    Status status;
    RunHere([&] { status = driver_.Start(std::move(log)); });
    return status;
  }

  void Propose(std::string command, ProposeDone done, uint64_t deadline_ns) override {
    inbox_.Bring([&](Brought& brought) {
      brought.proposals.push_back({std::move(command), Metered(std::move(done)), deadline_ns});
    });
  }

  void ReadBarrier(std::function<void(Status)> done) override {
    inbox_.Bring([&](Brought& brought) { brought.readers.push_back(std::move(done)); });
  }

  void Change(MemberChange change, std::function<void(Status)> done) override {
    Post([this, change = std::move(change), done = std::move(done)]() mutable {
      driver_.Change(std::move(change), std::move(done));
    });
  }

  void Transfer(uint64_t to, std::function<void(Status)> done) override {
    Post([this, to, done = std::move(done)]() mutable { driver_.Transfer(to, std::move(done)); });
  }

  void Inspect(std::function<void(const View&, const GroupState&)> done) override {
    Post([this, done = std::move(done)] { done(driver_.view(), driver_.group()); });
  }

  void ObserveMembers(std::function<void(const std::vector<Member>&)> observer) override {
    Post([this, observer = std::move(observer)]() mutable {
      members_observer_ = std::move(observer);
      members_observer_(driver_.members());
    });
  }

  void Receive(uint64_t from_id, std::string message) override {
    inbox_.Bring([&](Brought& brought) {
      if (brought.messages.size() >= kMaxMessages) return;
      brought.messages.push_back({from_id, std::move(message)});
    });
  }

  StatusOr<std::unique_ptr<ByteSource>> ReadSnapshot(const Snapshot& wanted,
                                                     uint64_t offset) const override {
    return shelf_.Read(wanted, offset, BoottimeNowNs());
  }

  void Capture(Captured done) override {
    Post([this, done = std::move(done)] { done(driver_.applied_metadata(), machine_->Capture()); });
  }

  View GetView() const override {
    const std::lock_guard lock(view_mutex_);
    return view_;
  }

  std::chrono::nanoseconds QuorumAge() const override {
    const uint64_t quorum_ns = quorum_ns_.load();
    if (quorum_ns == 0) return std::chrono::nanoseconds::max();
    if (quorum_ns == QuorumClock::kAlways) return std::chrono::nanoseconds::zero();
    const uint64_t now_ns = BoottimeNowNs();
    return std::chrono::nanoseconds(now_ns > quorum_ns ? now_ns - quorum_ns : 0);
  }

  const Meters& meters() const override { return meters_; }

  void ObserveView(std::function<void(const View&)> observer) override {
    Post([this, observer = std::move(observer)]() mutable {
      observer_ = std::move(observer);
      observer_(view_);
    });
  }

 private:
  ProposeDone Metered(ProposeDone done) {
    meters_.proposals.Add();
    return [this, begun_ns = MonotonicNowNs(),
            done = std::move(done)](const StatusOr<Committed>& committed) {
      if (committed.ok()) {
        meters_.commit.Record(MonotonicNowNs() - begun_ns);
      } else {
        meters_.proposals_refused.Add();
      }
      done(committed);
    };
  }

  // Runs the task among all other work, never from within the caller, who may hold a lock.
  void Post(std::function<void()> task) {
    timers_.Post([this, task = std::move(task)]() mutable { Do(std::move(task)); });
  }

  // The same, here when nobody else is at work.
  void Do(std::function<void()> task) {
    inbox_.Bring([&](Brought& brought) { brought.tasks.push_back(std::move(task)); });
  }

  // The same, and waits for it.
  void RunHere(const std::function<void()>& task) {
    const auto done = std::make_shared<std::promise<void>>();
    Do([&task, done] {
      task();
      done->set_value();
    });
    done->get_future().wait();
  }

  void Work(Brought brought) {
    for (auto& message : brought.messages) driver_.Receive(message.from_id, message.bytes);
    for (auto& proposal : brought.proposals) {
      driver_.Propose(std::move(proposal.command), std::move(proposal.done), proposal.deadline_ns);
    }
    for (auto& reader : brought.readers) driver_.ReadBarrier(std::move(reader));
    for (auto& task : brought.tasks) task();
    driver_.Pump();
    AfterPump();
  }

  void AfterPump() {
    quorum_ns_.store(driver_.quorum_ns());
    const uint64_t members_index = driver_.configurations().latest_index();
    if (std::exchange(members_index_, members_index) != members_index) {
      transport_->SetMembers(driver_.members());
      if (members_observer_) members_observer_(driver_.members());
    }
    shelf_.Put(driver_.snapshot(), BoottimeNowNs());
    if (const SnapshotPtr& snapshot = driver_.snapshot()) {
      meters_.snapshot_index.Set(static_cast<int64_t>(snapshot->metadata.last_index()));
      meters_.snapshot_bytes.Set(static_cast<int64_t>(snapshot->sum.size_bytes));
    }
    View view = driver_.view();
    const bool changed = view.role != view_.role || view.term != view_.term ||
                         view.leader_id != view_.leader_id ||
                         view.storage_problem.empty() != view_.storage_problem.empty();
    if (view.leader_id != view_.leader_id && view.leader_id != 0) meters_.leader_changes.Add();
    if (view.role != view_.role && view.role == Role::kCandidate) meters_.elections.Add();
    {
      const std::lock_guard lock(view_mutex_);
      view_ = std::move(view);
    }
    if (changed) {
      FL_LOG(info, "raft: role {}, term {}, leader {}", RoleName(view_.role), view_.term,
             view_.leader_id);
      if (observer_) observer_(view_);
    }
    if (driver_.failure().ok()) ArmTimer();
  }

  static std::string_view RoleName(Role role) {
    switch (role) {
      case Role::kFollower:
        return "follower";
      case Role::kCandidate:
        return "candidate";
      case Role::kLeader:
        return "leader";
      case Role::kUnavailable:
        break;
    }
    return "unavailable";
  }

  // A timer that is early arms another; deadlines mostly move away, so that few are under way.
  void ArmTimer() {
    const uint64_t due_ns = driver_.next_tick_ns();
    if (!armed_ns_.empty() && *armed_ns_.begin() <= due_ns) return;
    armed_ns_.insert(due_ns);
    const uint64_t now_ns = NowNs();
    const uint64_t delay_ns = std::max(kMinTickNs, due_ns > now_ns ? due_ns - now_ns : 0);
    timers_.PostAfter(std::chrono::nanoseconds(delay_ns), [this, due_ns] {
      Do([this, due_ns] {
        armed_ns_.erase(due_ns);
        driver_.Tick();
      });
    });
  }

  uint64_t NowNs() const override { return BoottimeNowNs(); }

  void StartWrite(LogWrite write) override {
    disk_.Post([this, write = std::make_shared<LogWrite>(std::move(write))] {
      const uint64_t begun_ns = MonotonicNowNs();
      const Status status = store_->Write(*write);
      meters_.write.Record(MonotonicNowNs() - begun_ns);
      disk_.Post([this, write, status] { FinishWrite(write, status); });
    });
  }

  // On the disk's thread. A write that failed is repeated until it gets through.
  void FinishWrite(const std::shared_ptr<LogWrite>& write, const Status& status) {
    Do([this, status] { driver_.WriteDone(status); });
    if (!status.ok()) meters_.write_failures.Add();
    if (status.ok() || status.code() == StatusCode::kDataLoss) return;
    disk_.PostAfter(kRetryWrite, [this, write] {
      Status again = store_->Recover();
      if (again.ok()) again = store_->Write(*write);
      disk_.Post([this, write, again] { FinishWrite(write, again); });
    });
  }

  void StartSnapshot(pb::SnapshotMetadata metadata,
                     std::shared_ptr<const StateImage> image) override {
    snapshots_.Post([this, metadata = std::move(metadata), image = std::move(image)]() mutable {
      const auto written = store_->snapshots().Write(metadata, *image);
      image.reset();
      (written.ok() ? meters_.snapshots_taken : meters_.snapshots_failed).Add();
      snapshots_.Post([this, written] { Do([this, written] { driver_.SnapshotDone(written); }); });
    });
  }

  void StartFetch(const Member& from, SnapshotPtr wanted) override {
    snapshots_.Post([this, from, wanted = std::move(wanted)] {
      FL_LOG(info, "raft: fetching the snapshot at {} ({} bytes) from member {}",
             wanted->metadata.last_index(), wanted->sum.size_bytes, from.id);
      const auto fetched =
          FetchSnapshot(from, wanted, transport_, &store_->snapshots(), *machine_, stopping_);
      (fetched.ok() ? meters_.snapshots_fetched : meters_.snapshot_fetches_failed).Add();
      if (!fetched.ok()) {
        FL_LOG(warn, "raft: could not fetch a snapshot from member {}: {}", from.id,
               ToString(fetched.status().message()));
      }
      snapshots_.Post([this, fetched] { Do([this, fetched] { driver_.FetchDone(fetched); }); });
    });
  }

  void Send(const Member& to, std::string message) override {
    transport_->Send(to, std::move(message));
  }

  StateMachine* const machine_;
  Transport* const transport_;
  const std::unique_ptr<LogStore> store_;
  Meters meters_;
  Driver driver_;  // of whoever is at work

  mutable std::mutex view_mutex_;  // held by whoever is at work to write, by others to read
  View view_;
  std::function<void(const View&)> observer_;
  std::function<void(const std::vector<Member>&)> members_observer_;
  uint64_t members_index_ = 0;  // of the configuration that it was told
  std::atomic<uint64_t> quorum_ns_{0};
  SnapshotShelf shelf_;
  std::atomic<bool> stopping_ = false;
  std::set<uint64_t> armed_ns_;  // timers that are under way, by when they are due

  Strand timers_{"raft"};
  Inbox inbox_{&timers_, [this](Brought brought) { Work(std::move(brought)); }};
  Strand disk_{"raft-disk"};
  Strand snapshots_{"raft-snapshots"};
};

}  // namespace

StatusOr<std::unique_ptr<Node>> Node::Start(Options options, StateMachine* machine,
                                            Transport* transport) {
  FL_RETURN_IF_ERROR(CheckOptions(options));
  if (options.seed == 0) options.seed = RandomNumber();
  FL_ASSIGN_OR_RETURN(auto store, LogStore::Open(options.data_dir));
  LoadedLog log = store->TakeLoaded();
  if (log.empty() && !options.join) {
    FL_RETURN_IF_ERROR(CheckInitialMembers(options));
    const LogWrite initial = InitialLog(options.members);
    FL_RETURN_IF_ERROR(store->Write(initial));
    log.hard_state = *initial.hard_state;
    log.entries = initial.entries;
  }
  auto node = std::make_unique<NodeImpl>(options, machine, transport, std::move(store));
  FL_RETURN_IF_ERROR(node->Begin(std::move(log)));
  return std::unique_ptr<Node>(std::move(node));
}

}  // namespace faultline::raft
