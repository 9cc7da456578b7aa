#include "bpf/probe.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "bpf/kernel_types.h"

namespace faultline::bpf {
namespace {

// Tells on standard error why features are missing to whoever may load no program, and ends the
// process.
void ProbeWithoutCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) std::_Exit(1);
  for (const Feature& feature : KernelFeatures()) {
    std::fprintf(stderr, "%s: %s\n", feature.name.c_str(), feature.reason.c_str());
  }
  std::_Exit(0);
}

TEST(ProbeDeathTest, TellsWhyAProgramWasRefusedAndNotThatThereWasNoneToAttach) {
  const Btf types = LoadKernelBtf();
  if (types == nullptr ||
      btf__find_by_name_kind(types.get(), "skb_drop_reason", BTF_KIND_ENUM) < 0) {
    GTEST_SKIP() << "the kernel gives no reasons for drops, and no program is tried";
  }
  // In a process of its own, which has not asked yet.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(ProbeWithoutCapabilities(), testing::ExitedWithCode(0),
              "drop_reasons: [^\n]*tracepoint kfree_skb: Operation not permitted");
}

}  // namespace
}  // namespace faultline::bpf
