// What one run of the program has: the flags every command takes, the output, the client, Ctrl-C.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "cli/output.h"
#include "client/client.h"

namespace faultline::cli {

// Flags that every command takes.
struct GlobalFlags {
  std::string address;
  std::string ca_file, cert_file, key_file;
  std::chrono::milliseconds timeout{10'000};
  bool json = false;
};

// Threads: the main thread's; only `interrupt` is shared.
class Session {
 public:
  // `output` outlives it. `interrupt` is cancelled by Ctrl-C.
  Session(Output& output, std::shared_ptr<client::Cancellation> interrupt);

  // The client for the flags; made at the first call. The session owns it.
  StatusOr<client::Client*> Connect();

  client::CallOptions call() const { return {interrupt}; }
  // Tells on standard error when a stream goes on at another node.
  client::StreamOptions stream();

  GlobalFlags flags;
  Output& out;
  const std::shared_ptr<client::Cancellation> interrupt;
  // What the command line asks for; set by the command that was named.
  std::function<Status()> selected;

 private:
  std::unique_ptr<client::Client> client_;
};

}  // namespace faultline::cli
