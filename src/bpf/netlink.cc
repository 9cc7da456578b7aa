#include "bpf/netlink.h"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "bpf/fd.h"

namespace faultline::bpf {
namespace {

constexpr size_t kReplyBytes = 32 * 1024;
constexpr uint32_t kClsactHandle = TC_H_MAKE(TC_H_CLSACT, 0);

struct TcRequest {
  nlmsghdr header{};
  tcmsg body{};
  char attributes[64]{};

  TcRequest(uint16_t type, uint16_t flags, int ifindex) {
    header.nlmsg_len = NLMSG_LENGTH(sizeof(body));
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = 1;
    body.tcm_family = AF_UNSPEC;
    body.tcm_ifindex = ifindex;
  }

  void AddText(uint16_t type, const std::string& text) {
    auto* attribute =
        reinterpret_cast<rtattr*>(reinterpret_cast<char*>(this) + NLMSG_ALIGN(header.nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(text.size() + 1));
    std::memcpy(RTA_DATA(attribute), text.c_str(), text.size() + 1);
    header.nlmsg_len = NLMSG_ALIGN(header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
  }
};

using OnReply = std::function<void(const nlmsghdr&)>;

// Sends and reads until the acknowledgement or the end of the dump. Result: 0 or the kernel's
// errno.
StatusOr<int> Exchange(const TcRequest& request, const OnReply& on_reply) {
  const UniqueFd socket_fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket_fd.valid() || send(socket_fd.get(), &request, request.header.nlmsg_len, 0) < 0) {
    return MakeError(StatusCode::kInternal, "a netlink request failed: {}", ErrnoText(errno));
  }
  std::vector<char> buffer(kReplyBytes);
  while (true) {
    const ssize_t got = recv(socket_fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return MakeError(StatusCode::kInternal, "reading from netlink failed: {}", ErrnoText(errno));
    }
    auto left = static_cast<unsigned>(got);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type == NLMSG_DONE) return 0;
      if (message->nlmsg_type == NLMSG_ERROR) {
        return -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
      }
      on_reply(*message);
    }
  }
}

void Ignore(const nlmsghdr&) {}

}  // namespace

StatusOr<std::vector<TcFilter>> ListTcFilters(int ifindex, bool egress) {
  TcRequest request(RTM_GETTFILTER, NLM_F_DUMP, ifindex);
  request.body.tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
  std::vector<TcFilter> filters;
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, [&](const nlmsghdr& reply) {
                        if (reply.nlmsg_type != RTM_NEWTFILTER) return;
                        const auto* body = static_cast<const tcmsg*>(NLMSG_DATA(&reply));
                        // A priority is listed by itself too, with handle 0.
                        if (body->tcm_handle == 0) return;
                        filters.push_back({TC_H_MAJ(body->tcm_info) >> 16, body->tcm_handle});
                      }));
  if (error != 0 && error != EINVAL && error != ENOENT && error != ENODEV) {
    return MakeError(StatusCode::kInternal, "listing filters failed: {}", ErrnoText(error));
  }
  return filters;
}

StatusOr<bool> HasClsact(int ifindex) {
  const TcRequest request(RTM_GETQDISC, NLM_F_DUMP, ifindex);
  bool found = false;
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, [&](const nlmsghdr& reply) {
                        if (reply.nlmsg_type != RTM_NEWQDISC) return;
                        const auto* body = static_cast<const tcmsg*>(NLMSG_DATA(&reply));
                        if (body->tcm_ifindex == ifindex && body->tcm_parent == TC_H_CLSACT) {
                          found = true;
                        }
                      }));
  if (error != 0) {
    return MakeError(StatusCode::kInternal, "listing qdiscs failed: {}", ErrnoText(error));
  }
  return found;
}

Status DeleteClsact(int ifindex) {
  TcRequest request(RTM_DELQDISC, NLM_F_ACK, ifindex);
  request.body.tcm_parent = TC_H_CLSACT;
  request.body.tcm_handle = kClsactHandle;
  request.AddText(TCA_KIND, "clsact");
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, Ignore));
  if (error == 0 || error == ENOENT || error == EINVAL || error == ENODEV) return absl::OkStatus();
  return MakeError(StatusCode::kInternal, "removing clsact failed: {}", ErrnoText(error));
}

Status ReplaceRootQdisc(int ifindex, const std::string& kind) {
  TcRequest request(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, ifindex);
  request.body.tcm_parent = TC_H_ROOT;
  request.AddText(TCA_KIND, kind);
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, Ignore));
  if (error == 0) return absl::OkStatus();
  return MakeError(error == ENOENT ? StatusCode::kNotFound : StatusCode::kInternal,
                   "qdisc {} cannot be set: {}", kind, ErrnoText(error));
}

}  // namespace faultline::bpf
