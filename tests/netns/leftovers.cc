#include "netns/leftovers.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <vector>

#include "base/status.h"
#include "bpf/fd.h"
#include "bpf/netns.h"
#include "netns/process.h"

namespace faultline::netns_test {
namespace {

constexpr char kOurPrograms[] = "fl_";
constexpr char kOurDevices[] = "fl-";
// enum bpf_attach_type of kernels with TCX; Debian 12's headers are older.
constexpr bpf_attach_type kTcx[] = {static_cast<bpf_attach_type>(46),
                                    static_cast<bpf_attach_type>(47)};

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

std::string WithOurPrograms(const std::string& text) {
  std::string found;
  for (const std::string& line : Lines(text)) {
    if (line.find(kOurPrograms) != std::string::npos) found += line + "\n";
  }
  return found;
}

std::string DevicesIn(const std::string& netns) {
  std::string found;
  for (const std::string& line : Lines(RunProgram({"ip", "-n", netns, "-br", "link"}))) {
    if (line.starts_with(kOurDevices)) found += line + "\n";
  }
  return found;
}

// Of each clsact qdisc our filters; itself if it has none at all.
std::string ClsactIn(const std::string& netns) {
  std::string found;
  for (const std::string& line : Lines(RunProgram({"tc", "-n", netns, "qdisc", "show"}))) {
    if (!line.starts_with("qdisc clsact")) continue;
    std::istringstream words(line);
    std::string word, interface;
    while (words >> word && word != "dev") continue;
    words >> interface;
    std::string filters;
    for (const char* side : {"ingress", "egress"}) {
      int exit_code = 0;  // the interface may go meanwhile
      filters +=
          RunAnyhow({"tc", "-n", netns, "filter", "show", "dev", interface, side}, &exit_code);
    }
    found += filters.empty() ? line + "\n" : WithOurPrograms(filters);
  }
  return found;
}

// Of the calling thread's namespace, asked of the kernel itself: bpftool before 7.3 does not know
// TCX.
std::string TcxHere() {
  std::string found;
  for (const std::string& name : bpf::InterfaceNames()) {
    const auto interface = bpf::FindInterface(name);
    if (!interface.ok()) continue;
    for (const bpf_attach_type type : kTcx) {
      std::array<__u32, 64> ids{};
      LIBBPF_OPTS(bpf_prog_query_opts, query, .prog_ids = ids.data(), .prog_cnt = ids.size());
      if (bpf_prog_query_opts(interface->index, type, &query) != 0) continue;  // there is no TCX
      for (__u32 i = 0; i < query.prog_cnt; ++i) {
        const bpf::UniqueFd program(bpf_prog_get_fd_by_id(ids[i]));
        bpf_prog_info info{};
        __u32 size = sizeof(info);
        if (bpf_obj_get_info_by_fd(program.get(), &info, &size) != 0) continue;
        found += WithOurPrograms(fmt::format("{} tcx {}\n", name, info.name));
      }
    }
  }
  return found;
}

}  // namespace

std::string FaultlineIn(const std::string& netns) {
  if (!std::filesystem::exists("/run/netns/" + netns)) return "";
  std::string found = DevicesIn(netns) + ClsactIn(netns);
  const auto netns_fd = bpf::OpenNetns(netns);
  EXPECT_TRUE(netns_fd.ok()) << netns_fd.status();
  if (!netns_fd.ok()) return found;
  const Status looked = bpf::InNetns(*netns_fd, [&found] {
    int no_bpftool = 0;
    found += WithOurPrograms(RunAnyhow({"bpftool", "net", "show"}, &no_bpftool));
    found += TcxHere();
    return absl::OkStatus();
  });
  EXPECT_TRUE(looked.ok()) << looked;
  return found;
}

std::string OpenBpf() {
  std::string found;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", gone)) {
    const std::string what = std::filesystem::read_symlink(entry.path(), gone).string();
    if (what.starts_with("anon_inode:bpf")) found += what + "\n";
  }
  return found;
}

}  // namespace faultline::netns_test
