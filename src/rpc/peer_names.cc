#include "rpc/peer_names.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>

#include "rpc/status.h"

namespace faultline::rpc {
namespace {

std::string HostOf(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host;
}

bool Covers(const std::string& certificate_name, const std::string& host) {
  if (certificate_name == host) return true;
  const size_t dot = host.find('.');
  return certificate_name.starts_with("*.") && dot != std::string::npos && dot > 0 &&
         certificate_name.substr(1) == host.substr(dot);
}

class Processor final : public grpc::AuthMetadataProcessor {
 public:
  Processor(std::shared_ptr<PeerNames> names, std::string open_method)
      : names_(std::move(names)), open_method_(std::move(open_method)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const auto path = metadata.find(":path");
    if (path != metadata.end() && path->second == open_method_) return grpc::Status::OK;
    std::vector<std::string> names;
    for (const auto& name : context->FindPropertyValues(GRPC_X509_SAN_PROPERTY_NAME)) {
      names.emplace_back(name.data(), name.size());
    }
    return ToGrpc(names_->Check(names));
  }

 private:
  const std::shared_ptr<PeerNames> names_;
  const std::string open_method_;
};

}  // namespace

void PeerNames::SetAddresses(const std::vector<std::string>& addresses) {
  std::set<std::string> hosts;
  for (const auto& address : addresses) hosts.insert(HostOf(address));
  const std::lock_guard lock(mutex_);
  hosts_ = std::move(hosts);
}

Status PeerNames::Check(const std::vector<std::string>& certificate_names) {
  const std::lock_guard lock(mutex_);
  const std::set<std::string> theirs = name_.empty() ? hosts_ : std::set<std::string>{name_};
  for (const auto& name : certificate_names) {
    const auto covers = [&](const std::string& host) { return Covers(name, host); };
    if (std::any_of(theirs.begin(), theirs.end(), covers)) return absl::OkStatus();
  }
  ++refused_;
  return MakeDetailedError(
      StatusCode::kPermissionDenied, "PEER_CERTIFICATE",
      fmt::format("this listener is for controllers: the certificate is for {}, and theirs for {}",
                  certificate_names.empty() ? "no host"
                                            : fmt::format("{}", fmt::join(certificate_names, ", ")),
                  fmt::join(theirs, ", ")));
}

std::shared_ptr<grpc::AuthMetadataProcessor> CheckedBy(std::shared_ptr<PeerNames> names,
                                                       std::string open_method) {
  return std::make_shared<Processor>(std::move(names), std::move(open_method));
}

}  // namespace faultline::rpc
