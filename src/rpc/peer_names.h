// Whose certificates may call a listener that is only for certain hosts: every certificate of the
// CA opens the connection, but a call is answered only when the certificate's subject alternative
// names say that it is one of theirs.
#pragma once

#include <grpcpp/security/auth_metadata_processor.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"

namespace faultline::rpc {

// Any thread.
class PeerNames {
 public:
  // `name`: the one that all of their certificates carry (and nobody else's); empty: each carries
  // its host's.
  explicit PeerNames(std::string name) : name_(std::move(name)) {}

  // Where they are reached, host:port each.
  void SetAddresses(const std::vector<std::string>& addresses);

  // PERMISSION_DENIED with reason PEER_CERTIFICATE, counted, unless one of the certificate's names
  // is theirs; "*.example.com" in a certificate stands for one label.
  Status Check(const std::vector<std::string>& certificate_names);

  uint64_t refused() const { return refused_; }

 private:
  const std::string name_;
  std::mutex mutex_;
  std::set<std::string> hosts_;
  std::atomic<uint64_t> refused_{0};
};

// For ServerCredentials::SetAuthMetadataProcessor (not of insecure ones): checks every call, but
// for `open_method` ("/package.Service/Method"), which any certificate of the CA may call.
std::shared_ptr<grpc::AuthMetadataProcessor> CheckedBy(std::shared_ptr<PeerNames> names,
                                                       std::string open_method);

}  // namespace faultline::rpc
