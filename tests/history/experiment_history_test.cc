#include "tests/history/experiment_history.h"

#include <gtest/gtest.h>

namespace faultline::history {
namespace {

chaos::v1::Experiment Experiment(const std::string& id, uint64_t revision,
                                 const std::string& phase = "active") {
  chaos::v1::Experiment experiment;
  experiment.set_experiment_id(id);
  experiment.set_request_id("r");
  experiment.set_revision(revision);
  experiment.set_phase(phase);
  const bool finished = phase == "stopped" || phase == "expired" || phase == "lost";
  experiment.set_status(finished ? chaos::v1::EXPERIMENT_STATUS_COMPLETED
                                 : chaos::v1::EXPERIMENT_STATUS_RUNNING);
  return experiment;
}

chaos::v1::ListExperimentsResponse Page(uint64_t revision,
                                        const std::vector<chaos::v1::Experiment>& experiments) {
  chaos::v1::ListExperimentsResponse response;
  response.set_revision(revision);
  response.mutable_experiments()->Add(experiments.begin(), experiments.end());
  return response;
}

class ExperimentHistoryTest : public testing::Test {
 protected:
  void Add(Kind kind, uint64_t from, uint64_t to, const chaos::v1::Experiment& experiment) {
    history_.Return(history_.Begin(from, kind, "r", "client"), to, experiment);
  }
  void AddNothing(Kind kind, uint64_t from, uint64_t to) {
    history_.ReturnNothing(history_.Begin(from, kind, "r", "client"), to);
  }
  ExperimentHistory history_;
};

TEST_F(ExperimentHistoryTest, AWholeLifeIsLinearizable) {
  AddNothing(Kind::kRead, 1, 2);
  Add(Kind::kStart, 3, 4, Experiment("exp-5", 5, "arming"));
  Add(Kind::kRead, 5, 6, Experiment("exp-5", 5, "arming"));
  Add(Kind::kRead, 7, 8, Experiment("exp-5", 7));
  Add(Kind::kStart, 9, 10, Experiment("exp-5", 7));
  Add(Kind::kStop, 11, 12, Experiment("exp-5", 9, "stopping"));
  Add(Kind::kRead, 13, 14, Experiment("exp-5", 12, "stopped"));
  Add(Kind::kStop, 15, 16, Experiment("exp-5", 12, "stopped"));
  EXPECT_EQ(history_.Violation(), "");
  EXPECT_EQ(history_.returned(), 12u) << "starts and stops show as well";
}

TEST_F(ExperimentHistoryTest, ARequestIdThatMakesTwoExperimentsIsNot) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  Add(Kind::kStart, 3, 4, Experiment("exp-6", 6));
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AnAcknowledgedExperimentThatIsForgottenIsNot) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  AddNothing(Kind::kRead, 3, 4);
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AReadOfAnEarlierRevisionIsNot) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  Add(Kind::kRead, 3, 4, Experiment("exp-5", 9));
  Add(Kind::kRead, 5, 6, Experiment("exp-5", 8));
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AnAnsweredStopThatALaterReadDoesNotShowIsNot) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  Add(Kind::kStop, 3, 4, Experiment("exp-5", 6, "stopping"));
  Add(Kind::kRead, 5, 6, Experiment("exp-5", 7));
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AnExperimentThatIsStoppedAlthoughNobodyStoppedItIsNot) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  Add(Kind::kRead, 3, 4, Experiment("exp-5", 6, "stopped"));
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AStopOfUnknownOutcomeMayShowLaterOrNever) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  history_.Begin(3, Kind::kStop, "r", "client");
  Add(Kind::kRead, 4, 5, Experiment("exp-5", 6));
  EXPECT_EQ(history_.Violation(), "");
  Add(Kind::kRead, 6, 7, Experiment("exp-5", 8, "stopped"));
  EXPECT_EQ(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AStartOfUnknownOutcomeMayShowLaterOrNever) {
  history_.Begin(1, Kind::kStart, "r", "client");
  AddNothing(Kind::kRead, 2, 3);
  EXPECT_EQ(history_.Violation(), "");
  Add(Kind::kRead, 4, 5, Experiment("exp-5", 6));
  EXPECT_EQ(history_.Violation(), "");
  Add(Kind::kStart, 6, 7, Experiment("exp-7", 7));
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, HoweverManyOutcomesAreUnknownItIsJudged) {
  for (int i = 0; i < 50; ++i) history_.Begin(1, Kind::kStart, "r", "client");
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  for (int i = 0; i < 50; ++i) {
    history_.Begin(3, Kind::kStop, "r", "client");
    history_.Begin(3, Kind::kRead, "r", "client");
  }
  Add(Kind::kRead, 4, 5, Experiment("exp-5", 6));
  EXPECT_EQ(history_.Violation(), "");
  Add(Kind::kRead, 6, 7, Experiment("exp-5", 5));
  EXPECT_NE(history_.Violation().find("not linearizable"), std::string::npos);
}

TEST_F(ExperimentHistoryTest, WhatHasEndedNeverChangesAgain) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  Add(Kind::kRead, 3, 4, Experiment("exp-5", 8, "expired"));
  Add(Kind::kRead, 5, 6, Experiment("exp-5", 9, "expired"));
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AListIsAReadOfEachExperimentAndOfTheWhole) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  history_.List(3, 4, Page(6, {Experiment("exp-5", 5)}), "client");
  EXPECT_EQ(history_.Violation(), "");
  history_.List(5, 6, Page(7, {}), "client");
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, APageWithAnotherBehindItSaysNothingOfWhatItDoesNotShow) {
  Add(Kind::kStart, 1, 2, Experiment("exp-5", 5));
  chaos::v1::ListExperimentsResponse page = Page(7, {});
  page.set_next_page_token("6");
  history_.List(3, 4, page, "client");
  EXPECT_EQ(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AListThatShowsLessThanWasSeenBeforeIsNot) {
  history_.List(1, 2, Page(6, {}), "client");
  history_.List(3, 4, Page(5, {}), "client");
  EXPECT_NE(history_.Violation(), "");
}

TEST_F(ExperimentHistoryTest, AViolationShowsTheHistoryAndTheMisfit) {
  Add(Kind::kStart, 1'000'000, 2'000'000, Experiment("exp-5", 5));
  AddNothing(Kind::kRead, 3'000'000, 4'000'000);
  const std::string text = history_.Violation();
  EXPECT_NE(text.find("request r is not linearizable"), std::string::npos) << text;
  EXPECT_NE(text.find("1.000 to      2.000 ms"), std::string::npos) << text;
  EXPECT_NE(text.find("read -> nothing   <-- has no place"), std::string::npos) << text;
}

}  // namespace
}  // namespace faultline::history
