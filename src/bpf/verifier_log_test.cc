#include "bpf/verifier_log.h"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <linux/bpf.h>

#include "base/log_testing.h"
#include "bpf/probe.h"

namespace faultline::bpf {
namespace {

using testing::HasSubstr;

class LoadProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const Status& needed : {RequireRoot(), RequireFeature("tc")}) {
      if (!needed.ok()) GTEST_SKIP() << ToString(needed.message());
    }
  }
  static StatusOr<UniqueFd> Load(std::span<const bpf_insn> code) {
    return LoadProgram(BPF_PROG_TYPE_SCHED_CLS, "fl_test", code, "a test's program");
  }
  static constexpr bpf_insn kExit = {
      .code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0};
};

TEST_F(LoadProgramTest, LoadsWhatTheVerifierTakes) {
  const bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}, kExit};
  StatusOr<UniqueFd> loaded = UniqueFd();
  EXPECT_EQ(Logged("text", [&] { loaded = Load(code); }), "");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_TRUE(loaded->valid());
}

TEST_F(LoadProgramTest, TellsWhatTheVerifierSaysOfWhatItRefuses) {
  Status refused;
  // Its result is in a register that nothing has written.
  const std::string log = Logged("text", [&] { refused = Load({&kExit, 1}).status(); });
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(ToString(refused.message()),
              HasSubstr("the kernel refused a test's program: Permission denied"));
  EXPECT_THAT(log, HasSubstr("the kernel's verifier on fl_test: ..."));
  EXPECT_THAT(log, HasSubstr("R0 !read_ok"));
}

}  // namespace
}  // namespace faultline::bpf
