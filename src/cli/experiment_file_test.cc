#include "cli/experiment_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/output.h"

namespace faultline::cli {
namespace {

StatusOr<ExperimentFile> Read(const std::string& text) {
  std::istringstream input(text);
  return ReadExperimentFile("-", input);
}

std::string ErrorOf(const std::string& text) {
  const auto file = Read(text);
  EXPECT_EQ(file.status().code(), StatusCode::kInvalidArgument) << text;
  return ToString(file.status().message());
}

TEST(ExperimentFile, HoldsTargetDurationSeedAndSeveralFaults) {
  const auto file = Read(
      "target: service:checkout\nduration: 1m30s\nseed: 18446744073709551615\nfaults:\n"
      "- kind: NETWORK_LATENCY\n  parameters: {delay_ms: 0.1s, peer_port: [80, 443]}\n"
      "- kind: NETWORK_LOSS\n  parameters:\n    loss_percent: 5\n");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->request.target(), "service:checkout");
  EXPECT_EQ(file->request.duration().seconds(), 90);
  EXPECT_EQ(file->request.seed(), UINT64_MAX);
  ASSERT_EQ(file->request.faults_size(), 2);
  EXPECT_EQ(file->request.faults(0).kind(), "NETWORK_LATENCY");
  EXPECT_EQ(file->request.faults(0).parameters().at("delay_ms"), "0.1s");
  EXPECT_EQ(file->request.faults(0).parameters().at("peer_port"), "80,443");
  EXPECT_EQ(file->request.faults(1).parameters().at("loss_percent"), "5");
}

// An answer with everything that an experiment has.
chaos::v1::Experiment Answered() {
  chaos::v1::Experiment experiment;
  experiment.set_experiment_id("exp-7");
  experiment.set_status(chaos::v1::EXPERIMENT_STATUS_COMPLETED);
  experiment.set_target("service:checkout");
  experiment.set_seed(1ull << 60);
  experiment.set_request_id("used");
  experiment.mutable_duration()->set_seconds(90);
  experiment.mutable_duration()->set_nanos(500'000'000);
  experiment.add_targets()->set_target_id("a/x");
  experiment.mutable_created_at()->set_seconds(1'800'000'000);
  auto* fault = experiment.add_faults();
  fault->set_kind("NETWORK_LOSS");
  (*fault->mutable_parameters())["loss_percent"] = "5";
  return experiment;
}

TEST(ExperimentFile, IsAlsoWhatGetAndStartPrint) {
  chaos::v1::GetExperimentResponse get;
  *get.mutable_experiment() = Answered();
  chaos::v1::StartExperimentResponse start;
  start.set_experiment_id("exp-7");
  *start.mutable_experiment() = Answered();
  for (const bool indented : {false, true}) {
    for (const auto& json :
         {ToJson(get, indented), ToJson(start, indented), ToJson(Answered(), indented)}) {
      const auto file = Read(json);
      ASSERT_TRUE(file.ok()) << file.status() << json;
      EXPECT_EQ(file->request.target(), "service:checkout");
      EXPECT_EQ(file->request.seed(), 1ull << 60);
      EXPECT_EQ(file->request.duration().seconds(), 90);
      EXPECT_EQ(file->request.duration().nanos(), 500'000'000);
      EXPECT_EQ(file->request.faults(0).parameters().at("loss_percent"), "5");
      EXPECT_EQ(file->request.request_id(), "") << "it belongs to the other experiment";
    }
  }
}

TEST(ExperimentFile, ErrorsNameFileLineAndField) {
  const std::string fault = "\nfaults: [{kind: X}]\n";
  EXPECT_EQ(ErrorOf("target: a:b\ncolour: red" + fault),
            "standard input:2: unknown key 'colour': allowed are target, duration, seed, faults");
  EXPECT_EQ(ErrorOf("target: a:b\nstatus: x" + fault),
            "standard input:2: unknown key 'status': allowed are target, duration, seed, faults");
  EXPECT_EQ(ErrorOf("experiment: {target: a:b}\nduration: 5m\n").substr(0, 41),
            "standard input:2: unknown key 'duration':");
  EXPECT_EQ(ErrorOf("duration: soon" + fault),
            "standard input:1: duration: 'soon' is not allowed: a time from 1 s to 24 h");
  EXPECT_EQ(ErrorOf("duration: 1e30" + fault),
            "standard input:1: duration: '1e30' is not allowed: a time from 1 s to 24 h");
  EXPECT_EQ(ErrorOf("seed: -1" + fault),
            "standard input:1: seed: '-1' is not allowed: a whole number from 0 to "
            "18446744073709551615");
  EXPECT_EQ(ErrorOf("target: a:b\nfaults:\n- kind: X\n  params: {}\n"),
            "standard input:4: unknown key 'params': allowed are kind, parameters");
  EXPECT_EQ(ErrorOf("faults:\n- kind: X\n  parameters:\n    a: 1\n    a: 2\n"),
            "standard input:5: key 'a' stands twice");
  EXPECT_EQ(ErrorOf("faults:\n- kind: X\n  parameters: {a: {b: c}}\n"),
            "standard input:3: a: 'a map' is not allowed: a list of texts");
  EXPECT_EQ(ErrorOf("target: a:b\n"),
            "standard input:1: faults: '' is not allowed: a list of at least one fault");
  EXPECT_THAT(ErrorOf("faults: [{kind: X}"), testing::StartsWith("standard input:"));
  std::istringstream unused;
  EXPECT_EQ(ToString(ReadExperimentFile("/nowhere/x.yaml", unused).status().message()),
            "/nowhere/x.yaml: cannot be read: No such file or directory (errno 2)");
}

TEST(ExperimentFile, TheServersErrorsAreToldAtTheirLine) {
  const auto file = Read(
      "target: a:b\nfaults:\n- kind: X\n- kind: Y\n  parameters:\n    speed: 1\n    delay_ms: 2\n");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto at = [&](const std::string& field) {
    const std::string text = ToString(AtItsLine(FieldError(field, "v", "w"), *file).message());
    return text.substr(0, text.find(": "));
  };
  EXPECT_EQ(at("faults[1].parameters.delay_ms"), "standard input:7");
  EXPECT_EQ(at("faults[1].kind"), "standard input:4");
  EXPECT_EQ(at("target"), "standard input:1");
  EXPECT_EQ(at("faults[1].parameters.missing"), "standard input:6");
  EXPECT_EQ(at("faults[0].parameters.missing"), "standard input:3");
  EXPECT_EQ(at("duration"), "duration") << "the file does not have it";
}

}  // namespace
}  // namespace faultline::cli
