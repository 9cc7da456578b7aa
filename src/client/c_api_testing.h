// For tests of the C interface: its callbacks as values that are waited for.
#pragma once

#include <gtest/gtest.h>

#include <future>

#include "client/faultline.h"
#include "client/test_node.h"

namespace faultline::client {

// What a series was told of its batches: (sequence, merged, missed).
using Told = std::tuple<uint64_t, uint64_t, uint64_t>;

struct Answer {
  int code = -1;
  std::string reason, message, json;
  std::vector<std::string> violations;
  std::vector<uint64_t> sequences;  // of measurements
  std::vector<std::string> ends;    // "experiment|status|phase|reason|ended_at_ns"
  std::vector<Told> told;
  std::vector<std::string> faults;  // "index|matched|delays_measured|link_busy_ns"
  std::vector<std::string> delays;  // "experiment|index|packets|p50_ms|p99_ms|no_room"
  std::string next_address;
};

inline Answer FromStatus(const fl_status* status) {
  Answer answer;
  answer.code = status->code;
  answer.reason = status->reason;
  answer.message = status->message;
  for (size_t i = 0; i < status->violation_count; ++i) {
    const fl_violation& violation = status->violations[i];
    answer.violations.push_back(
        fmt::format("{}|{}|{}", violation.field, violation.value, violation.allowed));
  }
  return answer;
}

inline void Keep(void* context, Answer answer) {
  static_cast<std::promise<Answer>*>(context)->set_value(std::move(answer));
}

inline void Done(void* context, const fl_status* status, const char* json, size_t size) {
  Answer answer = FromStatus(status);
  answer.json.assign(json, size);
  Keep(context, std::move(answer));
}

inline void Watched(void* context, const fl_status* status, const char* json, size_t size,
                    const fl_interruption*) {
  Done(context, status, json, size);
}

inline void KeepFaults(const fl_update& update, Answer* answer) {
  for (size_t i = 0; i < update.fault_count; ++i) {
    const fl_fault_counters& fault = update.faults[i];
    answer->faults.push_back(fmt::format("{}|{}|{}|{}", fault.fault_index, fault.matched,
                                         fault.delays_measured, fault.link_busy_ns));
  }
  for (size_t i = 0; i < update.fault_delay_count; ++i) {
    const fl_fault_delays& delays = update.fault_delays[i];
    answer->delays.push_back(fmt::format("{}|{}|{}|{}|{}|{}", delays.experiment_id,
                                         delays.fault_index, delays.packets, delays.p50_ms,
                                         delays.p99_ms, delays.no_room));
  }
}

inline void Measured(void* context, const fl_status* status, const fl_update* updates, size_t count,
                     const fl_interruption* interruption) {
  Answer answer = FromStatus(status);
  for (size_t i = 0; i < count; ++i) {
    if (const fl_end* end = updates[i].end) {
      answer.ends.push_back(fmt::format("{}|{}|{}|{}|{}", updates[i].experiment_id, end->status,
                                        end->phase, end->reason, end->ended_at_ns));
      continue;
    }
    answer.sequences.push_back(updates[i].sequence);
    answer.told.emplace_back(updates[i].sequence, updates[i].merged_batches,
                             updates[i].missed_batches);
    KeepFaults(updates[i], &answer);
  }
  if (interruption != nullptr) answer.next_address = interruption->next_address;
  Keep(context, std::move(answer));
}

inline fl_client* Open(const std::string& addresses) {
  fl_options options{};
  options.addresses = addresses.c_str();
  return fl_client_open(&options, nullptr, [](void*, const fl_status* status, const char*, size_t) {
    ADD_FAILURE() << status->message;
  });
}

// What a function with a callback says.
template <typename Begin>
Answer Waited(const Begin& begin) {
  std::promise<Answer> promise;
  begin(&promise);
  return promise.get_future().get();
}

inline Answer Called(fl_client* client, const char* method, const std::string& json) {
  return Waited([&](std::promise<Answer>* context) {
    fl_call_release(fl_call_begin(client, method, json.data(), json.size(), context, Done));
  });
}

inline Answer Next(fl_metrics* metrics, size_t most = 100) {
  return Waited(
      [&](std::promise<Answer>* context) { fl_metrics_next(metrics, most, context, Measured); });
}

inline void ExpectNothingAlive() {
  for (int i = 0; i < 60'000 && fl_alive() != 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(fl_alive(), 0);
}

class CApi : public testing::Test {
 protected:
  void SetUp() override { ExpectNothingAlive(); }
  void TearDown() override {
    if (client != nullptr) fl_client_close(client);
    ExpectNothingAlive();
  }
  void Connect() { client = Open(node.address()); }

  FakeNode node;
  fl_client* client = nullptr;
};

}  // namespace faultline::client
