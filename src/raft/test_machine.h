// A state machine for tests: keeps the commands in their order, and a digest of them.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "raft/memory_snapshot.h"
#include "raft/node.h"

namespace faultline::raft {

class TestMachine final : public StateMachine {
 public:
  std::function<void()> on_apply;  // runs while a command is applied

  std::string Apply(uint64_t index, uint64_t, std::string_view command, bool) override {
    const std::lock_guard lock(mutex_);
    in_order_ = in_order_ && index > index_;
    index_ = index;
    commands_.emplace_back(command);
    if (on_apply) on_apply();
    return "applied " + std::string(command);
  }

  void Advance(uint64_t index, uint64_t) override {
    const std::lock_guard lock(mutex_);
    in_order_ = in_order_ && index > index_;
    index_ = index;
  }

  std::shared_ptr<const StateImage> Capture() override {
    const std::lock_guard lock(mutex_);
    std::string bytes;
    for (const std::string& command : commands_) bytes += command + '\n';
    return std::make_shared<const TextImage>(std::move(bytes));
  }

  StatusOr<std::shared_ptr<LoadedState>> Load(ByteSource& source) const override {
    FL_ASSIGN_OR_RETURN(auto state, LoadText(source));
    const std::string& text = TextOf(*state);
    if (!text.empty() && text.back() != '\n') return absl::DataLossError("not a state");
    return state;
  }

  void Restore(uint64_t index, uint64_t, std::shared_ptr<LoadedState> state) override {
    const std::lock_guard lock(mutex_);
    index_ = index;
    ++restores_;
    commands_.clear();
    std::string_view bytes = TextOf(*state);
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      commands_.emplace_back(bytes.substr(0, end));
      bytes.remove_prefix(end + 1);
    }
  }

  std::vector<std::string> commands() const {
    const std::lock_guard lock(mutex_);
    return commands_;
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return commands_.size();
  }
  uint64_t index() const {
    const std::lock_guard lock(mutex_);
    return index_;
  }
  int restores() const {
    const std::lock_guard lock(mutex_);
    return restores_;
  }
  // Indexes only ever grew.
  bool in_order() const {
    const std::lock_guard lock(mutex_);
    return in_order_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> commands_;
  uint64_t index_ = 0;
  int restores_ = 0;
  bool in_order_ = true;
};

}  // namespace faultline::raft
