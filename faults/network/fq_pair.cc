#include "faults/network/fq_pair.h"

#include <sched.h>

#include "bpf/netlink.h"
#include "bpf/netns.h"

namespace faultline::network {
namespace {

constexpr uint32_t kMtu = 65'535;  // loopback's packets fit, with the tag that a device may add
constexpr int kQueuePackets = 1000;
constexpr unsigned kMaxPairs = 1000;  // of one namespace

}  // namespace

StatusOr<std::unique_ptr<FqPair>> FqPair::Make(const std::string& netns,
                                               const bpf::NetnsId& netns_id, int program_fd,
                                               bpf::AttachMode mode, faults::UndoLog* undo) {
  std::unique_ptr<FqPair> pair(new FqPair(undo));
  FL_ASSIGN_OR_RETURN(pair->netns_fd_, bpf::OpenNetns(netns, netns_id));
  pair->place_.netns = netns;
  pair->place_.netns_id = netns_id;
  pair->place_.names.address = bpf::RandomAddress();
  FL_RETURN_IF_ERROR(pair->MakeDevices());
  FL_RETURN_IF_ERROR(bpf::InNetns(pair->netns_fd_, [&] { return pair->SetUp(); }));
  bpf::AttachRequest request;
  request.netns = netns;
  request.netns_id = netns_id;
  request.interface = pair->place_.names.second;
  request.ifindex = pair->return_ifindex_;
  request.program_fd = program_fd;
  request.mode = mode;
  FL_ASSIGN_OR_RETURN(pair->out_, bpf::Attach(request));
  return pair;
}

Status FqPair::MakeDevices() {
  Status made;
  for (unsigned number = 0; number < kMaxPairs; ++number) {
    place_.names.first = fmt::format("fl-fq{}", number);
    place_.names.second = place_.names.first + "r";
    if (undo_ != nullptr) {
      FL_ASSIGN_OR_RETURN(undo_record_, undo_->Record(bpf::kUndoVeth, place_.ToArguments()));
    }
    made = bpf::InNetns(netns_fd_, [&] { return bpf::MakeVethPair(place_.names, kMtu); });
    if (made.ok()) return made;
    if (undo_ != nullptr) undo_->Erase(std::exchange(undo_record_, 0));
    if (made.code() != StatusCode::kAlreadyExists) return made;
  }
  return made;
}

Status FqPair::SetUp() {
  const auto& [first, second, address] = place_.names;
  FL_ASSIGN_OR_RETURN(const bpf::Interface in, bpf::FindInterface(first));
  FL_ASSIGN_OR_RETURN(const bpf::Interface out, bpf::FindInterface(second));
  ifindex_ = in.index;
  return_ifindex_ = out.index;
  FL_RETURN_IF_ERROR(bpf::ReplaceRootByFq(ifindex_, kMaxPackets));
  // One CPU, whichever this is: a queue for each of several would mix up a flow's packets.
  FL_RETURN_IF_ERROR(bpf::ReceiveOnCpu(second, static_cast<unsigned>(sched_getcpu())));
  FL_RETURN_IF_ERROR(bpf::BringUpRaw(second, kQueuePackets));
  return bpf::BringUpRaw(first, kQueuePackets);
}

bool FqPair::Stands() const {
  bool in = false, out = false;
  const Status looked = bpf::InNetns(netns_fd_, [&]() -> Status {
    FL_ASSIGN_OR_RETURN(in, bpf::IsUpAs(place_.names.first, ifindex_));
    FL_ASSIGN_OR_RETURN(out, bpf::IsUpAs(place_.names.second, return_ifindex_));
    return absl::OkStatus();
  });
  return !looked.ok() || (in && out && out_->Alive());
}

FqPair::~FqPair() {
  out_.reset();
  if (ifindex_ == 0 && undo_record_ == 0 && return_ifindex_ == 0) return;
  bpf::VethPlace place = place_;
  place.netns = "/proc/self/fd/" + std::to_string(netns_fd_.get());
  faults::FinishUndo(undo_, undo_record_, bpf::RemoveVethPair(place));
}

}  // namespace faultline::network
