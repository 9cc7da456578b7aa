// The agent's local socket, both ends: what root on the host may ask and do without a controller.
#pragma once

#include <memory>
#include <string>

#include "agent/agent.h"
#include "agent/v1/local.pb.h"
#include "base/status.h"

namespace faultline::agent {

// Answers agent.v1.LocalRequest on a Unix socket that only root can reach: mode 0600, in a folder
// that is made with mode 0700 if there is none, one connection after the other.
class LocalService {
 public:
  // FAILED_PRECONDITION when another agent answers at `path`. `agent` outlives the object.
  static StatusOr<std::unique_ptr<LocalService>> Serve(const std::string& path, Agent* agent);
  // Lets the call that is being answered end, and removes the socket.
  ~LocalService();

 private:
  struct Impl;
  explicit LocalService(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// FAILED_PRECONDITION with a sentence when some process listens at `path`.
Status CheckSocketIsFree(const std::string& path);

// The other end. UNAVAILABLE with a sentence when no agent answers, PERMISSION_DENIED for all but
// root.
StatusOr<::agent::v1::StatusResponse> AskStatus(const std::string& path);
StatusOr<::agent::v1::HaltResponse> AskHalt(const std::string& path);
Status AskResume(const std::string& path);

}  // namespace faultline::agent
