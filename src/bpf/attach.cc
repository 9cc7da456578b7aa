#include "bpf/attach.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "bpf/fd.h"
#include "bpf/netlink.h"
#include "bpf/netns.h"
#include "bpf/tc_filter.h"

namespace faultline::bpf {
namespace {

// enum bpf_attach_type of kernels with TCX; Debian 12's headers are older.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr uint32_t kBefore = 1u << 3;  // BPF_F_BEFORE
constexpr uint32_t kHandle = 1;
constexpr uint32_t kLastPriority = 0xffff;

class TcxAttachment : public Attachment {
 public:
  explicit TcxAttachment(UniqueFd link) : link_(std::move(link)) {}
  bool Alive() const override {
    bpf_link_info info{};
    uint32_t size = sizeof(info);
    // The first word of every network link's facts is the interface; 0 once that is gone.
    return bpf_link_get_info_by_fd(link_.get(), &info, &size) == 0 && info.xdp.ifindex != 0;
  }

 private:
  UniqueFd link_;
};

StatusOr<std::unique_ptr<Attachment>> AttachTcx(const AttachRequest& request) {
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = kBefore);
  UniqueFd link(bpf_link_create(request.program_fd, request.ifindex,
                                request.egress ? kTcxEgress : kTcxIngress, &options));
  if (!link.valid()) {
    return MakeError(StatusCode::kFailedPrecondition, "attaching to {} by TCX failed: {}",
                     request.interface, ErrnoText(errno));
  }
  UniqueFd high(fcntl(link.get(), F_DUPFD_CLOEXEC, kLinkFds));
  if (high.valid()) link = std::move(high);
  return std::make_unique<TcxAttachment>(std::move(link));
}

class ClsactAttachment : public Attachment {
 public:
  // The namespace by descriptor: its name may be taken away, or mean another, while it is in use.
  ClsactAttachment(const AttachRequest& request, UniqueFd netns_fd, TcFilterPlace place)
      : netns_fd_(std::move(netns_fd)),
        finish_undo_(request.finish_undo),
        place_(std::move(place)) {
    place_.netns = "/proc/self/fd/" + std::to_string(netns_fd_.get());
  }
  ~ClsactAttachment() override {
    const ClsactPlace qdisc{place_.netns, place_.netns_id, place_.interface, place_.ifindex};
    Finish(filter_attached_ ? RemoveTcFilter(place_) : absl::OkStatus(), filter_undo_);
    Finish(made_qdisc_ ? RemoveClsactIfEmpty(qdisc, /*ours_may_stay=*/true) : absl::OkStatus(),
           qdisc_undo_);
  }
  bool Alive() const override {
    bool alive = false;
    const Status status = InNetns(netns_fd_, [&] {
      // What cannot be asked is not known to be gone.
      alive = HasTcFilter(place_).value_or(true);
      return absl::OkStatus();
    });
    return !status.ok() || alive;
  }

  std::string Ahead() const override {
    std::string ahead;
    const Status asked = InNetns(netns_fd_, [&]() -> Status {
      FL_ASSIGN_OR_RETURN(ahead, FilterAhead(place_));
      return absl::OkStatus();
    });
    if (!asked.ok() || ahead.empty()) return {};
    return ahead + (place_.egress ? " on egress" : " on ingress");
  }

  Status Make(const AttachRequest& request) {
    FL_RETURN_IF_ERROR(MakeQdisc(request));
    FL_ASSIGN_OR_RETURN(const auto filters, ListTcFilters(request.ifindex, request.egress));
    place_.handle = kHandle;
    place_.priority = 1;
    while (std::any_of(filters.begin(), filters.end(),
                       [&](const TcFilter& f) { return f.priority == place_.priority; })) {
      if (++place_.priority > kLastPriority) {
        return MakeError(StatusCode::kFailedPrecondition, "{} has no free filter priority",
                         request.interface);
      }
    }
    return MakeFilter(request);
  }

 private:
  Status MakeQdisc(const AttachRequest& request) {
    FL_ASSIGN_OR_RETURN(const bool has, HasClsact(request.ifindex));
    if (has) return absl::OkStatus();
    const ClsactPlace qdisc{request.netns, place_.netns_id, request.interface, request.ifindex};
    if (request.record_undo) {
      FL_ASSIGN_OR_RETURN(qdisc_undo_, request.record_undo(kUndoClsact, qdisc.ToArguments()));
    }
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = request.ifindex,
                .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
    const int error = -bpf_tc_hook_create(&hook);
    if (error == EEXIST) return absl::OkStatus();
    if (error != 0) {
      return MakeError(StatusCode::kFailedPrecondition, "clsact cannot be put on {}: {}",
                       request.interface, ErrnoText(error));
    }
    made_qdisc_ = true;
    return absl::OkStatus();
  }

  Status MakeFilter(const AttachRequest& request) {
    bpf_prog_info info{};
    uint32_t size = sizeof(info);
    if (bpf_prog_get_info_by_fd(request.program_fd, &info, &size) != 0) {
      return MakeError(StatusCode::kInternal, "a program's id cannot be read: {}",
                       ErrnoText(errno));
    }
    place_.program_id = info.id;
    TcFilterPlace recorded = place_;
    recorded.netns = request.netns;
    if (request.record_undo) {
      FL_ASSIGN_OR_RETURN(filter_undo_, request.record_undo(kUndoTcFilter, recorded.ToArguments()));
    }
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = request.ifindex,
                .attach_point = request.egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = request.program_fd, .handle = place_.handle,
                .priority = place_.priority);
    const int error = -bpf_tc_attach(&hook, &options);
    if (error != 0) {
      return MakeError(StatusCode::kFailedPrecondition, "attaching to {} by clsact failed: {}",
                       request.interface, ErrnoText(error));
    }
    filter_attached_ = true;
    return absl::OkStatus();
  }

  void Finish(const Status& status, uint64_t undo) {
    if (undo != 0) {
      finish_undo_(undo, status);
    } else if (!status.ok()) {
      FL_LOG(error, "{}", ToString(status.message()));
    }
  }

  const UniqueFd netns_fd_;
  std::function<void(uint64_t, const Status&)> finish_undo_;
  TcFilterPlace place_;
  bool made_qdisc_ = false;
  bool filter_attached_ = false;
  uint64_t qdisc_undo_ = 0;
  uint64_t filter_undo_ = 0;
};

StatusOr<std::unique_ptr<Attachment>> AttachClsact(const AttachRequest& request,
                                                   const UniqueFd& netns_fd) {
  UniqueFd kept(fcntl(netns_fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!kept.valid()) {
    return MakeError(StatusCode::kInternal, "attaching to {} failed: {}", request.interface,
                     ErrnoText(errno));
  }
  TcFilterPlace place;
  FL_ASSIGN_OR_RETURN(place.netns_id, IdOf(netns_fd));
  place.interface = request.interface;
  place.ifindex = request.ifindex;
  place.egress = request.egress;
  auto attachment = std::make_unique<ClsactAttachment>(request, std::move(kept), place);
  FL_RETURN_IF_ERROR(attachment->Make(request));
  return attachment;
}

}  // namespace

StatusOr<std::unique_ptr<Attachment>> Attach(const AttachRequest& request) {
  FL_ASSIGN_OR_RETURN(const UniqueFd netns_fd, OpenNetns(request.netns, request.netns_id));
  StatusOr<std::unique_ptr<Attachment>> result = nullptr;
  FL_RETURN_IF_ERROR(InNetns(netns_fd, [&] {
    result =
        request.mode == AttachMode::kTcx ? AttachTcx(request) : AttachClsact(request, netns_fd);
    return result.status();
  }));
  return result;
}

void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace faultline::bpf
