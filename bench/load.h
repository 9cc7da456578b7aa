// Closed-loop load: so many clients, each with a connection of its own and one call under way.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "rpc/endpoint.h"

namespace grpc {
class Channel;
}

namespace faultline::bench {

// A connection that is shared with no other call of this.
std::shared_ptr<grpc::Channel> Connect(const std::string& address, const rpc::TlsFiles& tls);

// One CA and one certificate for `ip`, made by openssl in `folder`, for servers and clients.
StatusOr<rpc::TlsFiles> MakeCertificates(const std::string& folder, const std::string& ip);

// CPU time of a process since it began, and the memory that it has resident.
double CpuSecondsOf(int pid);
double ResidentBytesOf(int pid);

// What one client does again and again: begins a call, and says when it is answered. The next
// begins when the one before is answered.
class LoadClient {
 public:
  using Done = std::function<void(const Status&)>;
  virtual ~LoadClient() = default;
  // Opens the connection.
  virtual Status Prepare() = 0;
  virtual void Write(Done done) = 0;
};

struct LoadResult {
  double writes_per_s = 0;
  double p50_ms = 0;
  double p99_ms = 0;
};

// Every client writes until `writes` have begun in all; the clock runs from the first call to the
// last answer. An error when a write fails.
StatusOr<LoadResult> RunLoad(const std::vector<std::unique_ptr<LoadClient>>& clients, int writes);

}  // namespace faultline::bench
