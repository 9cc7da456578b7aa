// For the agent's end-to-end tests and benchmarks: network namespaces, real processes, real
// packets. Everything made here is gone when its object is.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/eventually.h"

namespace faultline::e2e {

// Why end-to-end tests cannot run here; empty when they can.
std::string WhyNotHere();

// A folder under /tmp.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Two namespaces joined by a veth pair: `service` (the target; device "svc0", 10.77.0.1) and
// `client` (device "cli0", 10.77.0.2). Names are unique in the host.
class NetPair {
 public:
  NetPair();
  ~NetPair();
  // The service's namespace goes, with its device, and comes back as another of the same name: what
  // a container that is started anew does in two steps.
  void RemoveService() const;
  void MakeService() const;
  const std::string& service() const { return service_; }
  const std::string& client() const { return client_; }

 private:
  std::string service_, client_;
};

// Runs a shell command; result: what it prints, without the last line end.
std::string Shell(const std::string& command);
// A step of making ready, which prints nothing: what it does print is told, with the command.
void Prepare(const std::string& command);

// Asks again and again whether it holds; false when it does not within that time.
template <typename Condition>
bool Eventually(const Condition& holds, std::chrono::seconds patience) {
  return HoldsWithin(patience, std::chrono::milliseconds(20), holds);
}

// A child process; standard output and error go to `log_path`. Killed when the object goes.
class Process {
 public:
  Process(const std::vector<std::string>& arguments, const std::string& log_path);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  pid_t pid() const { return pid_; }
  bool Running();
  void Signal(int number) const;
  // Waits for the end; result: exit code, or 128 + signal.
  int Wait();

 private:
  pid_t pid_ = -1;
  int exit_code_ = -1;
};

// UDP packets from the service to the client, stamped when sent, at a fixed rate until the object
// goes. Times are CLOCK_MONOTONIC nanoseconds.
class UdpStream {
 public:
  static constexpr size_t kMaxPackets = 2'000'000;
  // Long enough for a starved machine. What ends a fault in this time is not a lease of a minute.
  static constexpr unsigned kHealS = 30;

  UdpStream(const NetPair& net, unsigned packets_per_second);
  ~UdpStream();
  // Ends it: sent() stays as it is.
  void Stop();

  // Packets sent so far.
  size_t sent() const { return sent_.load(); }
  uint64_t sent_ns(size_t packet) const { return packets_[packet].sent_ns.load(); }
  // One-way time of a packet; UINT64_MAX when it has not arrived.
  uint64_t delay_ns(size_t packet) const;
  // Median one-way time of the packets that arrived in the last `window_ms`; UINT64_MAX when none
  // did.
  uint64_t MedianDelayNs(uint64_t window_ms) const;
  // Of these packets, the first of them and so many more, the shortest one-way time; UINT64_MAX
  // when none has arrived. A fault delays each, a starved machine some.
  uint64_t ShortestDelayNs(size_t first, size_t count) const;
  // Waits until the median over 50 ms is at least that: false after a minute, since a starved
  // machine may miss a lease; or at most that: false after `seconds`.
  bool AwaitSlow(uint64_t at_least_ms) const;
  bool AwaitFast(uint64_t at_most_ms, unsigned seconds = kHealS) const;

 private:
  struct Packet {
    std::atomic<uint64_t> sent_ns{0};
    std::atomic<uint64_t> received_ns{0};
  };
  void Send(unsigned packets_per_second);
  void Receive();

  const std::unique_ptr<Packet[]> packets_;
  std::atomic<size_t> sent_{0};
  std::atomic<bool> stopped_{false};
  int sender_ = -1, receiver_ = -1;
  std::thread send_thread_, receive_thread_;
};

// Writes a configuration file for an agent of that target and those controllers; state and socket
// are in `folder`. Result: its path.
std::string WriteAgentConfig(const std::string& folder, const NetPair& net,
                             const std::vector<std::string>& controllers);

}  // namespace faultline::e2e
