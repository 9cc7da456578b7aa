#include "server/validation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/baseline.h"

namespace faultline::server {
namespace {

chaos::v1::StartExperimentRequest Good() {
  chaos::v1::StartExperimentRequest request;
  request.set_target("service:checkout");
  request.set_fault_type("NETWORK_LOSS");
  (*request.mutable_parameters())["loss_percent"] = "5%";
  return request;
}

template <typename Change>
std::string ErrorOf(Change change) {
  auto request = Good();
  change(&request);
  const auto command = ToCommand(request);
  EXPECT_EQ(command.status().code(), StatusCode::kInvalidArgument);
  return ToString(command.status().message());
}

TEST(StartExperiment, BecomesACommandWithDefaultsFilledIn) {
  const auto command = ToCommand(Good());
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->duration_ms(), 600'000);
  ASSERT_EQ(command->faults_size(), 1);
  EXPECT_EQ(command->faults(0).fault().parameters().at("loss_percent"), "5");
  EXPECT_EQ(command->faults(0).fault().parameters().at("direction"), "egress");
  EXPECT_TRUE(command->faults(0).occupies().empty());
  EXPECT_EQ(command->faults(0).capabilities(0), "tc");
}

TEST(StartExperiment, HasTheSameBodyWhateverItsRequestId) {
  auto first = Good(), second = Good();
  first.set_request_id("a");
  second.set_request_id("b");
  EXPECT_EQ(ToCommand(first)->request_body(), ToCommand(second)->request_body());
  second.mutable_duration()->set_seconds(5);
  EXPECT_NE(ToCommand(first)->request_body(), ToCommand(second)->request_body());
}

TEST(StartExperiment, TakesOneFormOfFaultAndNotBoth) {
  EXPECT_EQ(ErrorOf([](auto* r) { r->clear_fault_type(); }),
            "fault_type: '' is not allowed: it must be given: a fault kind, or `faults` instead");
  EXPECT_EQ(ErrorOf([](auto* r) { r->add_faults()->set_kind("NETWORK_LOSS"); }),
            "fault_type: 'NETWORK_LOSS' is not allowed: nothing when `faults` is given");
  EXPECT_EQ(ErrorOf([](auto* r) {
              r->clear_fault_type();
              r->add_faults()->set_kind("NETWORK_LOSS");
            }),
            "parameters: '' is not allowed: nothing when `faults` is given");
}

TEST(StartExperiment, NamesTheFaultOfAListThatIsWrong) {
  EXPECT_EQ(ErrorOf([](auto* r) {
              r->clear_fault_type();
              r->clear_parameters();
              for (const char* percent : {"1", "101"}) {
                auto* fault = r->add_faults();
                fault->set_kind("NETWORK_LOSS");
                (*fault->mutable_parameters())["loss_percent"] = percent;
              }
            }),
            "faults[1].parameters.loss_percent: '101' is not allowed: 0 to 100 %");
}

TEST(StartExperiment, HasNoTwoFaultsThatContradictEachOther) {
  const auto with = [](const std::string& second_port) {
    return [second_port](auto* r) {
      r->clear_fault_type();
      r->clear_parameters();
      for (const std::string& port : {std::string("5432"), second_port}) {
        auto* fault = r->add_faults();
        fault->set_kind("CONNECT_FAIL");
        (*fault->mutable_parameters())["peer_port"] = port;
      }
    };
  };
  EXPECT_EQ(ErrorOf(with("5432")),
            "faults[1]: 'CONNECT_FAIL' is not allowed: no fault that contradicts faults[0]: both "
            "want network/egress/connects [peer_port: \"5432\"]");
  auto request = Good();
  with("6379")(&request);
  const auto command = ToCommand(request);
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->faults(1).occupies(0), "network/egress/connects [peer_port: \"6379\"]");
}

TEST(StartExperiment, LastsFromASecondToADay) {
  const std::string allowed = "' is not allowed: 1 s to 24 h";
  EXPECT_EQ(ErrorOf([](auto* r) { r->mutable_duration(); }), "duration: '0s" + allowed);
  EXPECT_EQ(ErrorOf([](auto* r) { r->mutable_duration()->set_seconds(-1); }),
            "duration: '-1s" + allowed);
  EXPECT_EQ(ErrorOf([](auto* r) { r->mutable_duration()->set_seconds(86'401); }),
            "duration: '86401s" + allowed);
  EXPECT_FALSE(ErrorOf([](auto* r) { r->mutable_duration()->set_seconds(INT64_MAX); }).empty());
  auto request = Good();
  request.mutable_duration()->set_seconds(86'400);
  EXPECT_TRUE(ToCommand(request).ok());
  // Longer by a nanosecond, and what is no duration at all.
  for (const auto& [seconds, nanos] :
       {std::pair(86'400, 1), std::pair(10, -1), std::pair(10, 1'000'000'000)}) {
    request.mutable_duration()->set_seconds(seconds);
    request.mutable_duration()->set_nanos(nanos);
    EXPECT_FALSE(ToCommand(request).ok()) << seconds << " s, " << nanos << " ns";
  }
}

TEST(StartExperiment, RefusesWhatWouldTypeOnOtherPeoplesTerminals) {
  EXPECT_EQ(ErrorOf([](auto* r) { r->set_target("service:x\x1b[31m"); }),
            "target: 'service:x\\x1b[31m' is not allowed: no control characters");
}

TEST(StopExperiment, NamesExperimentsOrAll) {
  chaos::v1::StopExperimentRequest request;
  EXPECT_FALSE(ToCommand(request).ok());
  request.set_experiment_id("exp-1");
  request.add_experiment_ids("exp-2");
  request.add_experiment_ids("exp-1");
  EXPECT_EQ(ToCommand(request)->experiment_ids_size(), 2);
  request.set_all(true);
  EXPECT_FALSE(ToCommand(request).ok());
  request.mutable_wait()->set_seconds(601);
  EXPECT_EQ(ToString(WaitNs(request).status().message()),
            "wait: '601s' is not allowed: 0 s to 10 m");
}

TEST(ListExperiments, ChecksPageAndStatuses) {
  chaos::v1::ListExperimentsRequest request;
  EXPECT_TRUE(Validate(request).ok());
  request.set_page_size(1'001);
  EXPECT_FALSE(Validate(request).ok());
  request.set_page_size(1'000);
  request.set_page_token("12x");
  EXPECT_FALSE(Validate(request).ok());
  request.set_page_token("12");
  EXPECT_TRUE(Validate(request).ok());
  request.add_statuses(static_cast<chaos::v1::ExperimentStatus>(99));
  EXPECT_FALSE(Validate(request).ok());
}

TEST(SubscribeToMetrics, NamesSomethingAndAPossibleRate) {
  chaos::v1::SubscribeToMetricsRequest request;
  EXPECT_FALSE(Validate(request).ok());
  request.set_all(true);
  EXPECT_TRUE(Validate(request).ok());
  for (const double rate : {-1.0, 50.5, std::nan(""), HUGE_VAL}) {
    request.set_rate_hz(rate);
    EXPECT_FALSE(Validate(request).ok()) << rate;
  }
  request.set_rate_hz(50);
  EXPECT_TRUE(Validate(request).ok());
  for (int i = 0; i < 65'536; ++i) request.add_resume_series();
  EXPECT_TRUE(Validate(request).ok());
  request.add_resume_series();
  EXPECT_FALSE(Validate(request).ok());
}

TEST(AgentHello, NamesTheAgentAndOnlyItsOwnTargets) {
  chaos::v1::AgentHello hello;
  EXPECT_FALSE(Validate(hello).ok());
  hello.mutable_agent()->set_agent_id("a");
  EXPECT_FALSE(Validate(hello).ok()) << "no incarnation";
  hello.mutable_agent()->set_incarnation(1);
  EXPECT_TRUE(Validate(hello).ok());
  hello.mutable_agent()->add_targets()->set_target_id("a/x");
  EXPECT_TRUE(Validate(hello).ok());
  hello.mutable_agent()->add_targets()->set_target_id("a/x");
  EXPECT_FALSE(Validate(hello).ok()) << "twice";
  hello.mutable_agent()->mutable_targets(1)->set_target_id("b/x");
  EXPECT_FALSE(Validate(hello).ok()) << "another agent's";
}

TEST(MetricsBatch, HasNoMoreThanAnAgentCanMeasure) {
  chaos::v1::MetricsBatch batch;
  EXPECT_TRUE(Validate(batch).ok());
  auto* sample = batch.add_samples();
  for (int i = 0; i < kMaxSampleFaults; ++i) {
    sample->add_faults()->set_fault_index(kMaxFaults - 1);
    sample->add_fault_delays();
  }
  EXPECT_TRUE(Validate(batch).ok());
  const auto error_of = [&](const auto& change) {
    auto changed = batch;
    change(&changed);
    return ToString(Validate(changed).message());
  };
  EXPECT_EQ(error_of([](auto* b) { b->mutable_samples(0)->add_faults(); }),
            "metrics.samples.faults: '65 faults' is not allowed: at most 64 faults");
  EXPECT_EQ(error_of([](auto* b) { b->mutable_samples(0)->add_fault_delays(); }),
            "metrics.samples.fault_delays: '65 faults' is not allowed: at most 64 faults");
  EXPECT_EQ(error_of([](auto* b) {
              b->mutable_samples(0)->mutable_fault_delays(0)->set_fault_index(kMaxFaults);
            }),
            "metrics.samples.fault_delays.fault_index: '16' is not allowed: below 16");
  EXPECT_EQ(error_of([](auto* b) {
              while (b->samples_size() <= kMaxAgentTargets) b->add_samples();
            }),
            "metrics.samples: '1001 targets' is not allowed: at most 1000 targets");
}

TEST(AgentBaselines, HaveEachTargetOnceAndAsMuchAsIsKept) {
  const auto error_of = [](BaselineLimits limits, const auto& change) {
    chaos::v1::AgentBaselines given;
    change(given.add_targets());
    return ToString(limits.Check(given).message());
  };
  BaselineLimits limits;
  EXPECT_EQ(error_of(limits,
                     [](auto* target) {
                       while (target->slots_size() <= Baseline::kMaxSlots) target->add_slots();
                     }),
            "baselines.targets.slots: '129 slots' is not allowed: at most 128 slots");
  EXPECT_EQ(error_of(limits,
                     [](auto* target) {
                       while (target->faults_size() <= Baseline::kMaxFaults) target->add_faults();
                     }),
            "baselines.targets.faults: '65 faults' is not allowed: at most 64 faults");
  chaos::v1::AgentBaselines large;
  large.add_targets()->set_target_id("a/x");
  large.mutable_targets(0)->add_faults()->set_experiment_id(
      std::string(kMaxBaselineBytes / 2, 'x'));
  EXPECT_TRUE(limits.Check(large).ok());
  EXPECT_EQ(error_of(limits, [](auto* target) { target->set_target_id("a/x"); }),
            "baselines.targets.target_id: 'a/x' is not allowed: each target once");
  large.mutable_targets(0)->set_target_id("a/y");
  EXPECT_FALSE(limits.Check(large).ok()) << "too much in all";
}

}  // namespace
}  // namespace faultline::server
