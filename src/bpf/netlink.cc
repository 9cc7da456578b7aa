#include "bpf/netlink.h"

#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

namespace faultline::bpf {
namespace {

constexpr size_t kReplyBytes = 32 * 1024;
// fq takes no more of them.
constexpr uint32_t kAllHashBits = 0x3fffffff;
constexpr uint32_t kClsactHandle = TC_H_MAKE(TC_H_CLSACT, 0);

// A request with its body (tcmsg, ifinfomsg) and attributes.
template <typename Body>
struct Request {
  nlmsghdr header{};
  Body body{};
  char attributes[192]{};

  Request(uint16_t type, uint16_t flags) {
    header.nlmsg_len = NLMSG_LENGTH(sizeof(body));
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = 1;
  }

  void Add(uint16_t type, const void* data, size_t bytes) {
    rtattr* attribute = Begin(type);
    attribute->rta_len = static_cast<uint16_t>(RTA_LENGTH(bytes));
    std::memcpy(RTA_DATA(attribute), data, bytes);
    header.nlmsg_len += static_cast<uint32_t>(RTA_ALIGN(attribute->rta_len)) - RTA_LENGTH(0);
  }
  void AddText(uint16_t type, const std::string& text) { Add(type, text.c_str(), text.size() + 1); }
  void AddNumber(uint16_t type, uint32_t number) { Add(type, &number, sizeof(number)); }

  // What is added until End, and `before` bytes without a header first, is inside it.
  rtattr* Begin(uint16_t type, size_t before = 0) {
    auto* attribute =
        reinterpret_cast<rtattr*>(reinterpret_cast<char*>(this) + NLMSG_ALIGN(header.nlmsg_len));
    attribute->rta_type = type;
    header.nlmsg_len =
        static_cast<uint32_t>(NLMSG_ALIGN(header.nlmsg_len) + RTA_LENGTH(0) + before);
    return attribute;
  }
  void End(rtattr* attribute) {
    const auto* end = reinterpret_cast<char*>(this) + header.nlmsg_len;
    attribute->rta_len = static_cast<uint16_t>(end - reinterpret_cast<char*>(attribute));
  }
};

struct TcRequest : Request<tcmsg> {
  TcRequest(uint16_t type, uint16_t flags, int ifindex) : Request(type, flags) {
    body.tcm_family = AF_UNSPEC;
    body.tcm_ifindex = ifindex;
  }
};

using OnReply = std::function<void(const nlmsghdr&)>;

// Sends and reads until the acknowledgement or the end of the dump. Result: 0 or the kernel's
// errno.
template <typename Body>
StatusOr<int> Exchange(const Request<Body>& request, const OnReply& on_reply) {
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

// Calls `visit` with each attribute from `first` on.
template <typename Visit>
void ForEachAttribute(const rtattr* first, size_t bytes, const Visit& visit) {
  auto left = static_cast<unsigned>(bytes);
  for (const rtattr* at = first; RTA_OK(at, left); at = RTA_NEXT(at, left)) visit(*at);
}

template <typename Body, typename Visit>
void ForEachAttributeOf(const nlmsghdr& reply, const Visit& visit) {
  if (reply.nlmsg_len < NLMSG_SPACE(sizeof(Body))) return;
  const auto* first = reinterpret_cast<const rtattr*>(static_cast<const char*>(NLMSG_DATA(&reply)) +
                                                      NLMSG_ALIGN(sizeof(Body)));
  ForEachAttribute(first, reply.nlmsg_len - NLMSG_SPACE(sizeof(Body)), visit);
}

int NumberIn(const rtattr& attribute) {
  int number = 0;
  std::memcpy(&number, RTA_DATA(&attribute), sizeof(number));
  return number;
}

std::string TextIn(const rtattr& attribute) {
  return std::string(
      static_cast<const char*>(RTA_DATA(&attribute)),
      strnlen(static_cast<const char*>(RTA_DATA(&attribute)), RTA_PAYLOAD(&attribute)));
}

TcFilter FilterIn(const nlmsghdr& reply) {
  const auto* body = static_cast<const tcmsg*>(NLMSG_DATA(&reply));
  TcFilter filter;
  filter.priority = TC_H_MAJ(body->tcm_info) >> 16;
  filter.handle = body->tcm_handle;
  ForEachAttributeOf<tcmsg>(reply, [&](const rtattr& attribute) {
    if (attribute.rta_type == TCA_KIND) filter.kind = TextIn(attribute);
    if (attribute.rta_type == TCA_CHAIN) filter.chain = static_cast<uint32_t>(NumberIn(attribute));
    // Behind the kind; numbers of options are each kind's own.
    if (attribute.rta_type != TCA_OPTIONS || filter.kind != "bpf") return;
    ForEachAttribute(static_cast<const rtattr*>(RTA_DATA(&attribute)), RTA_PAYLOAD(&attribute),
                     [&](const rtattr& option) {
                       // "name:[id]", as libbpf calls it.
                       if (option.rta_type == TCA_BPF_NAME) filter.program = TextIn(option);
                     });
  });
  return filter;
}

Status QdiscSet(const std::string& kind, int error) {
  if (error == 0) return absl::OkStatus();
  return MakeError(error == ENOENT ? StatusCode::kNotFound : StatusCode::kInternal,
                   "qdisc {} cannot be set: {}", kind, ErrnoText(error));
}

}  // namespace

StatusOr<std::vector<TcFilter>> ListTcFilters(int ifindex, bool egress) {
  TcRequest request(RTM_GETTFILTER, NLM_F_DUMP, ifindex);
  request.body.tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
  std::vector<TcFilter> filters;
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, [&](const nlmsghdr& reply) {
                        if (reply.nlmsg_type != RTM_NEWTFILTER) return;
                        // A priority is listed by itself too, with handle 0.
                        if (auto filter = FilterIn(reply); filter.handle != 0)
                          filters.push_back(std::move(filter));
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
  return QdiscSet(kind, error);
}

Status ReplaceRootByFq(int ifindex, uint32_t packets) {
  TcRequest request(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, ifindex);
  request.body.tcm_parent = TC_H_ROOT;
  request.AddText(TCA_KIND, "fq");
  rtattr* options = request.Begin(TCA_OPTIONS);
  request.AddNumber(TCA_FQ_PLIMIT, packets);
  request.AddNumber(TCA_FQ_FLOW_PLIMIT, packets);
  request.AddNumber(TCA_FQ_RATE_ENABLE, 0);
  request.AddNumber(TCA_FQ_ORPHAN_MASK, kAllHashBits);
  request.End(options);
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, Ignore));
  return QdiscSet("fq", error);
}

Status MakeVethPair(const VethNames& names, uint32_t mtu) {
  Request<ifinfomsg> request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  request.AddText(IFLA_IFNAME, names.first);
  request.Add(IFLA_ADDRESS, names.address.data(), names.address.size());
  request.AddNumber(IFLA_MTU, mtu);
  rtattr* info = request.Begin(IFLA_LINKINFO);
  request.AddText(IFLA_INFO_KIND, "veth");
  rtattr* data = request.Begin(IFLA_INFO_DATA);
  rtattr* peer = request.Begin(VETH_INFO_PEER, sizeof(ifinfomsg));
  request.AddText(IFLA_IFNAME, names.second);
  request.AddNumber(IFLA_MTU, mtu);
  request.End(peer);
  request.End(data);
  request.End(info);
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, Ignore));
  if (error == 0) return absl::OkStatus();
  return MakeError(error == EEXIST ? StatusCode::kAlreadyExists : StatusCode::kFailedPrecondition,
                   "the veth pair {} cannot be made: {}", names.first, ErrnoText(error));
}

StatusOr<Link> ReadLink(int ifindex) {
  Request<ifinfomsg> request(RTM_GETLINK, NLM_F_ACK);
  request.body.ifi_index = ifindex;
  Link link;
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, [&](const nlmsghdr& reply) {
                        ForEachAttributeOf<ifinfomsg>(reply, [&](const rtattr& at) {
                          if (at.rta_type == IFLA_IFNAME) link.name = TextIn(at);
                          if (at.rta_type == IFLA_LINK) link.peer_ifindex = NumberIn(at);
                          if (at.rta_type == IFLA_LINK_NETNSID) link.peer_netns = NumberIn(at);
                          if (at.rta_type != IFLA_LINKINFO) return;
                          ForEachAttribute(static_cast<const rtattr*>(RTA_DATA(&at)),
                                           RTA_PAYLOAD(&at), [&](const rtattr& info) {
                                             if (info.rta_type == IFLA_INFO_KIND)
                                               link.kind = TextIn(info);
                                           });
                        });
                      }));
  if (error == 0) return link;
  return MakeError(error == ENODEV ? StatusCode::kNotFound : StatusCode::kInternal,
                   "interface number {} cannot be read: {}", ifindex, ErrnoText(error));
}

StatusOr<int> NetnsNumber(const UniqueFd& netns_fd) {
  Request<rtgenmsg> request(RTM_GETNSID, NLM_F_ACK);
  request.AddNumber(NETNSA_FD, static_cast<uint32_t>(netns_fd.get()));
  int number = -1;
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, [&](const nlmsghdr& reply) {
                        ForEachAttributeOf<rtgenmsg>(reply, [&](const rtattr& at) {
                          if (at.rta_type == NETNSA_NSID) number = NumberIn(at);
                        });
                      }));
  if (error == 0) return number;
  return MakeError(StatusCode::kInternal, "a network namespace's number cannot be read: {}",
                   ErrnoText(error));
}

Status DeleteLink(int ifindex) {
  Request<ifinfomsg> request(RTM_DELLINK, NLM_F_ACK);
  request.body.ifi_index = ifindex;
  FL_ASSIGN_OR_RETURN(const int error, Exchange(request, Ignore));
  if (error == 0 || error == ENODEV) return absl::OkStatus();
  return MakeError(StatusCode::kInternal, "removing an interface failed: {}", ErrnoText(error));
}

}  // namespace faultline::bpf
