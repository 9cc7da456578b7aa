#include "faults/network/named_peers.h"

#include "base/log.h"

namespace faultline::network {
namespace {

Status WithParameter(std::string_view parameter, const Status& status) {
  Status named = MakeError(status.code(), "{}: {}", parameter, ToString(status.message()));
  if (const auto detail = DetailOf(status)) AttachDetail(named, *detail);
  return named;
}

// Asks for all names, so that they are looked up at the same time; the first one's error.
Status AddAddresses(HostNames* host_names, std::string_view parameter,
                    const std::vector<std::string>& names, std::vector<Cidr>* peers) {
  Status first;
  for (const std::string& name : names) {
    const auto addresses = host_names->AddressesOf(name);
    if (addresses.ok()) {
      peers->insert(peers->end(), addresses->begin(), addresses->end());
    } else {
      first.Update(WithParameter(parameter, addresses.status()));
    }
  }
  return first;
}

}  // namespace

Status NamedPeers::Resolve(HostNames* host_names, std::vector<Cidr>* in,
                           std::vector<Cidr>* out) const {
  *in = given_;
  *out = given_out_;
  Status status = AddAddresses(host_names, "peer_host", names_.in, in);
  status.Update(AddAddresses(host_names, "exclude_peer_host", names_.out, out));
  return status;
}

Status NamedPeers::Fill(HostNames* host_names, Filter* filter) {
  FL_RETURN_IF_ERROR(Resolve(host_names, &told_, &told_out_));
  filter->prefixes[FL_PEER] = told_;
  filter->excluded = told_out_;
  return absl::OkStatus();
}

void NamedPeers::Follow(HostNames* host_names, Tables* tables, unsigned bit) {
  if (names_.in.empty() && names_.out.empty()) return;
  std::vector<Cidr> in, out;
  if (!Resolve(host_names, &in, &out).ok() || (in == told_ && out == told_out_)) return;
  if (const Status told = tables->SetPeers(bit, in, out); !told.ok()) {
    FL_LOG(error, "new addresses of a fault's peers: {}", ToString(told.message()));
    return;
  }
  told_ = std::move(in);
  told_out_ = std::move(out);
}

}  // namespace faultline::network
