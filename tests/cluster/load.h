// Clients of several controllers that work at the same time, while a test makes trouble; and the
// judgement on all that they did and saw: it must be what one linearizable server could have shown
// them, and nothing that was acknowledged may be lost or done twice.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rpc/endpoint.h"
#include "tests/cluster/test_agent.h"
#include "tests/history/experiment_history.h"

namespace faultline::cluster {

// One thread uses it; its clients and agents have theirs.
class Load {
 public:
  // `addresses`: of the API of every node that there is or will be. Agents "a" and "b" connect to
  // any of them. Whatever is chosen by chance follows from FAULTLINE_CONSISTENCY_SEED, or from a
  // seed of its own, and is printed.
  explicit Load(std::vector<std::string> addresses, rpc::TlsFiles tls = {});
  ~Load();

  // Waits until the first node answers and both agents hold leases; false when that does not come.
  bool IsReady();
  // Clients start, stop and read experiments while `trouble` runs, and until they have done enough
  // to be judged.
  void While(const std::function<void()>& trouble);
  // Fails the test for what is wrong. Each of these nodes (positions in `addresses`), asked for
  // itself, must know everything that was acknowledged.
  void Judge(const std::vector<size_t>& nodes);

  // For the trouble: a whole number from `from` to `to`, and a pause.
  uint64_t Draw(uint64_t from, uint64_t to) { return from + random_() % (to - from + 1); }
  void Sleep(uint64_t from_ms, uint64_t to_ms);

 private:
  struct Known;
  class Client;
  std::unique_ptr<Client> MakeClient(const std::string& name, uint64_t seed);

  const std::vector<std::string> addresses_;
  const rpc::TlsFiles tls_;
  const uint64_t seed_;
  std::mt19937_64 random_;
  uint64_t clients_made_ = 0;  // each has names of its own
  std::vector<std::unique_ptr<TestAgent>> agents_;
  const std::unique_ptr<Known> known_;
  history::ExperimentHistory history_;
  const std::unique_ptr<Client> judge_;
};

}  // namespace faultline::cluster
