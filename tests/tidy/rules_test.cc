// Every rule must be able to fail: small bad samples, and their good twins.
#include "tidy/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultline::tidy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Source File(std::string path, std::string text) {
  const uint64_t size = text.size();
  return {std::move(path), std::move(text), size};
}

std::string LinesOf(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += "x\n";
  return text;
}

std::string FunctionOf(size_t lines) {
  return "void Long() {\n" + std::string(lines - 2, '\n') + "}\n";
}

const char kKinds[] =
    "message NetworkLatency {\n  option (chaos.v1.fault_kind) = {\n    name: \"NETWORK_LATENCY\"\n "
    " };\n}\n";

TEST(CheckIncludeEdges, RefusesAnIncludeAgainstTheDirection) {
  EXPECT_THAT(CheckIncludeEdges({File("src/base/a.h", "#include \"raft/node.h\"\n")}),
              ElementsAre("src/base/a.h:1: base may not include raft (\"raft/node.h\")"));
  EXPECT_THAT(CheckIncludeEdges({File("src/client/a.cc", "\n#include \"server/x.h\"\n")}),
              ElementsAre(HasSubstr("src/client/a.cc:2: client may not include server")));
  EXPECT_THAT(CheckIncludeEdges({File("src/server/a.cc", "#include \"agent/x.h\"\n")}),
              ElementsAre(HasSubstr("server may not include agent")));
}

TEST(CheckIncludeEdges, RefusesADriverInTheServerAndASliceInControl) {
  EXPECT_THAT(CheckIncludeEdges({File("src/server/a.cc", "#include \"faults/driver.h\"\n")}),
              ElementsAre(HasSubstr("server may not include driver")));
  EXPECT_THAT(
      CheckIncludeEdges({File("faults/network/v1/parameters.proto", kKinds),
                         File("src/client/a.cc", "#include \"network/v1/parameters.pb.h\"\n")}),
      ElementsAre(HasSubstr("client may not include spec")));
  EXPECT_THAT(CheckIncludeEdges({File("faults/network/spec.cc", "#include \"faults/driver.h\"\n")}),
              ElementsAre(HasSubstr("spec may not include driver")));
}

TEST(CheckIncludeEdges, AllowsTheDirectionItselfAndWhatIsNotOurs) {
  EXPECT_THAT(CheckIncludeEdges({
                  File("src/raft/a.cc",
                       "#include <vector>\n#include \"raft/node.h\"\n#include \"base/log.h\"\n"),
                  File("src/agent/a.cc",
                       "#include \"faults/driver.h\"\n#include \"chaos/v1/agent.pb.h\"\n"),
                  File("src/base/b.cc", "// #include \"raft/node.h\"\n"),
                  File("src/bin/main.cc", "#include \"server/server.h\"\n"),
              }),
              IsEmpty());
}

TEST(CheckPurity, RefusesLinuxGrpcBpfClocksAndThreads) {
  for (const char* include : {"<linux/bpf.h>", "<sys/socket.h>", "<net/if.h>", "<grpcpp/grpcpp.h>",
                              "<bpf/libbpf.h>", "<thread>", "\"chaos/v1/chaos.grpc.pb.h\"",
                              "\"network.skel.h\"", "\"base/clock.h\"", "<random>"}) {
    const std::string text = std::string("#include ") + include + "\n";
    EXPECT_THAT(CheckPurity({File("src/control/state.cc", text)}), testing::SizeIs(1)) << include;
    EXPECT_THAT(CheckPurity({File("faults/network/spec.cc", text)}), testing::SizeIs(1)) << include;
    EXPECT_THAT(CheckPurity({File("faults/registry.h", text)}), testing::SizeIs(1)) << include;
    EXPECT_THAT(CheckPurity({File("faults/network/driver.cc", text)}), IsEmpty()) << include;
  }
}

TEST(CheckPurity, AllowsTheStandardLibraryAndMessages) {
  EXPECT_THAT(CheckPurity({File("src/control/state.h",
                                "#include <map>\n#include \"chaos/v1/chaos.pb.h\"\n")}),
              IsEmpty());
}

TEST(CheckSizes, RefusesALongFileAndALongFunction) {
  EXPECT_THAT(CheckSizes({File("a.cc", LinesOf(301))}, {}),
              ElementsAre("a.cc: 301 lines, at most 300"));
  EXPECT_THAT(CheckSizes({File("a.cc", FunctionOf(71))}, {}),
              ElementsAre("a.cc Long: 71 lines, at most 70"));
  EXPECT_THAT(CheckSizes({File("a.cc", LinesOf(300)), File("b.cc", FunctionOf(70))}, {}),
              IsEmpty());
}

TEST(CheckSizes, LetsAnExceptionShrinkButNotGrow) {
  const Ratchet ratchet = ParseRatchet("# why\n310 a.cc\n80 b.cc Long\n");
  EXPECT_THAT(CheckSizes({File("a.cc", LinesOf(310)), File("b.cc", FunctionOf(80))}, ratchet),
              IsEmpty());
  EXPECT_THAT(CheckSizes({File("a.cc", LinesOf(311)), File("b.cc", FunctionOf(80))}, ratchet),
              ElementsAre(HasSubstr("grown above its exception of 310")));
  EXPECT_THAT(CheckSizes({File("a.cc", LinesOf(309)), File("b.cc", FunctionOf(79))}, ratchet),
              ElementsAre(HasSubstr("a.cc: now 309 lines: lower"), HasSubstr("b.cc Long: now 79")));
  EXPECT_THAT(CheckSizes({File("a.cc", LinesOf(300)), File("b.cc", FunctionOf(80))}, ratchet),
              ElementsAre(HasSubstr("a.cc: needs no exception any more")));
}

TEST(CheckSizes, AllowsNoExceptionAboveTheHardLimit) {
  EXPECT_THAT(CheckSizes({File("a.cc", LinesOf(401))}, ParseRatchet("401 a.cc\n")),
              ElementsAre(HasSubstr("no exception allows more than 400")));
}

TEST(CheckFaultKinds, ReadsTheNamesFromTheSlices) {
  EXPECT_THAT(FaultKindNames({File("faults/network/v1/parameters.proto", kKinds)}),
              ElementsAre("NETWORK_LATENCY", "NetworkLatency"));
}

TEST(CheckFaultKinds, RefusesANameOutsideItsSlice) {
  const Source slice = File("faults/network/v1/parameters.proto", kKinds);
  EXPECT_THAT(CheckFaultKindsStayInTheirSlice(
                  {slice, File("src/cli/start.cc", "f(\"NETWORK_LATENCY\");\n")}),
              ElementsAre(HasSubstr("src/cli/start.cc:1: 'NETWORK_LATENCY'")));
  EXPECT_THAT(
      CheckFaultKindsStayInTheirSlice({slice, File("faults/driver.h", "NetworkLatency a;\n")}),
      ElementsAre(HasSubstr("faults/driver.h:1: 'NetworkLatency'")));
  EXPECT_THAT(CheckFaultKindsStayInTheirSlice({File("src/a.cc", "")}),
              ElementsAre(HasSubstr("no fault kind found")));
}

TEST(CheckFaultKinds, AllowsItsSliceTestsDocsAndComments) {
  const std::string use = "f(\"NETWORK_LATENCY\");\n";
  EXPECT_THAT(
      CheckFaultKindsStayInTheirSlice(
          {File("faults/network/v1/parameters.proto", kKinds), File("faults/network/spec.cc", use),
           File("src/cli/start_test.cc", use), File("docs/a.md", use), File("bench/a.cc", use),
           File("api/a.proto", "// Such as NETWORK_LATENCY.\n"),
           File("src/a.cc", "f(\"MY_NETWORK_LATENCY_2\");\n")}),
      IsEmpty());
}

TEST(CheckUnfinished, RefusesNotesWithoutAnOwner) {
  const std::string note = std::string("TO") + "DO";
  EXPECT_THAT(CheckUnfinished({File("src/a.cc", "// " + note + ": later\n")}),
              ElementsAre(HasSubstr("src/a.cc:1")));
  EXPECT_THAT(CheckUnfinished({File("docs/a.md", note + " this\n")}),
              ElementsAre(HasSubstr("no owner")));
  EXPECT_THAT(CheckUnfinished({File("docs/a.md", note + "(jane) this\n")}), IsEmpty());
  EXPECT_THAT(CheckUnfinished({File("src/a.cc", "int kTodoCount;\n")}), IsEmpty());
}

TEST(CheckTracked, RefusesWhatIsGeneratedOrHuge) {
  for (const char* path :
       {"api/chaos.pb.h", "src/a.skel.h", "src/bpf/vmlinux.h", "build/x", "a/lib.so"}) {
    EXPECT_THAT(CheckTracked({File(path, "")}), testing::SizeIs(1)) << path;
  }
  EXPECT_THAT(CheckTracked({{"docs/a.png", "", (1 << 20) + 1}}),
              ElementsAre(HasSubstr("at most 1 MiB")));
  EXPECT_THAT(CheckTracked({File("src/build/a.h", ""), File("src/a.cc", "")}), testing::SizeIs(1));
}

TEST(CheckMachinePaths, RefusesPathsOfOneMachineAndDownloadAddresses) {
  EXPECT_THAT(CheckMachinePaths({File("src/a.cc", "f(\"/home/jane/x\");\n")}), testing::SizeIs(1));
  EXPECT_THAT(CheckMachinePaths({File("a.sh", "cd /root/x\n")}), testing::SizeIs(1));
  EXPECT_THAT(CheckMachinePaths({File("package-lock.json", "\"resolved\": \"x\"\n")}),
              testing::SizeIs(1));
  EXPECT_THAT(CheckMachinePaths({File("src/a.cc", "f(\"/var/lib/x\", \"a/work/b\");\n")}),
              IsEmpty());
}

TEST(CheckLabels, RefusesALabelThatNothingRuns) {
  const Source runner = File("scripts/test.sh",
                             "build/dev/tests/unit build/dev/tests/netns build/dev/tests/cluster "
                             "build/dev/tests/e2e build/dev/tests/sim build/dev/tests/tidy");
  EXPECT_THAT(CheckLabels({runner, File("src/a/CMakeLists.txt", "faultline_test(a LABEL slow)")}),
              ElementsAre(HasSubstr("unknown test label 'slow'")));
  EXPECT_THAT(CheckLabels({runner, File("src/a/CMakeLists.txt", "faultline_test(a LABEL e2e)")}),
              IsEmpty());
  EXPECT_THAT(CheckLabels({File("scripts/test.sh", "build/dev/tests/unit")}), testing::SizeIs(5));
}

TEST(CheckDependencies, RefusesAPackageThatIsNotDocumented) {
  const Source bootstrap =
      File("scripts/bootstrap.sh", "packages=(\n  git g++\n)\nbackported=(libbpf-dev)\n");
  EXPECT_THAT(BootstrapPackages(bootstrap.text), ElementsAre("git", "g++", "libbpf-dev"));
  EXPECT_THAT(CheckDependencies({bootstrap, File("docs/dependencies.md", "`git` `g++`\n")}),
              ElementsAre(HasSubstr("what libbpf-dev is for")));
  EXPECT_THAT(
      CheckDependencies({bootstrap, File("docs/dependencies.md", "`git` `g++` `libbpf-dev`\n")}),
      IsEmpty());
  EXPECT_THAT(CheckDependencies({bootstrap}), testing::SizeIs(1));
}

TEST(CheckDocPaths, RefusesALinkThatLeadsNowhere) {
  const Source there = File("src/raft/node.h", "");
  EXPECT_THAT(
      CheckDocPaths({there, File("docs/a.md", "[x](../src/raft/node.h) [y](../src/raft#top)")}),
      IsEmpty());
  EXPECT_THAT(CheckDocPaths({there, File("docs/a.md", "[x](../src/raft/gone.h)")}),
              ElementsAre("docs/a.md: names ../src/raft/gone.h, which is not there"));
  EXPECT_THAT(
      CheckDocPaths({there, File("docs/architecture.md", "`src/raft/node.h` `src/gone.cc`")}),
      ElementsAre(HasSubstr("names src/gone.cc")));
}

TEST(CheckProtoLint, RefusesAProtoThatIsNotLinted) {
  const Source runner = File("scripts/test.sh", "tools/check_proto.sh");
  const Source lint = File("tools/check_proto.sh", "\"$dir/bin/buf\" lint\n");
  const Source config = File("buf.yaml", "modules:\n  - path: api\n");
  EXPECT_THAT(CheckProtoLint({runner, lint, config, File("api/a.proto", "")}), IsEmpty());
  EXPECT_THAT(CheckProtoLint({runner, lint, config, File("src/a.proto", "")}),
              ElementsAre(HasSubstr("src/a.proto: is in none")));
  EXPECT_THAT(CheckProtoLint({lint, config}), ElementsAre(HasSubstr("scripts/test.sh")));
  EXPECT_THAT(CheckProtoLint({runner, File("tools/check_proto.sh", "true\n"), config}),
              ElementsAre(HasSubstr("does not run buf lint")));
}

}  // namespace
}  // namespace faultline::tidy
