// What the commands say of answers that may be old, against a node on loopback inside this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/app.h"
#include "client/test_node.h"

namespace faultline::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kNote[] = "note: node 2's own state, with everything acknowledged 1s before\n";

class StaleNode final : public client::FakeNode {
 public:
  grpc::Status GetExperiment(grpc::ServerContext*, const chaos::v1::GetExperimentRequest* request,
                             chaos::v1::GetExperimentResponse* response) override {
    return Answer(*request, response);
  }
  grpc::Status ListExperiments(grpc::ServerContext*,
                               const chaos::v1::ListExperimentsRequest* request,
                               chaos::v1::ListExperimentsResponse* response) override {
    return Answer(*request, response);
  }
  grpc::Status ListAgents(grpc::ServerContext*, const chaos::v1::ListAgentsRequest* request,
                          chaos::v1::ListAgentsResponse* response) override {
    return Answer(*request, response);
  }
  grpc::Status ListTargets(grpc::ServerContext*, const chaos::v1::ListTargetsRequest* request,
                           chaos::v1::ListTargetsResponse* response) override {
    return Answer(*request, response);
  }
  grpc::Status GetReport(grpc::ServerContext*, const chaos::v1::GetReportRequest* request,
                         chaos::v1::GetReportResponse* response) override {
    response->mutable_report()->add_events();  // it is complete
    return Answer(*request, response);
  }

 private:
  template <typename Request, typename Response>
  static grpc::Status Answer(const Request& request, Response* response) {
    auto* freshness = response->mutable_freshness();
    freshness->set_node_id(2);
    freshness->set_stale(request.stale());
    if (request.stale()) freshness->mutable_age()->set_seconds(1);
    return grpc::Status::OK;
  }
};

class Stale : public testing::TestWithParam<std::vector<std::string>> {
 protected:
  // Runs the command; what it has printed is in `out` and `err`.
  void Run(const std::vector<std::string>& more) {
    auto arguments = GetParam();
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.insert(arguments.end(), {"--address", node.address()});
    std::ostringstream to_out, to_err;
    Output output(to_out, to_err, {});
    EXPECT_EQ(cli::Run(arguments, output, std::make_shared<client::Cancellation>()), ExitCode::kOk)
        << to_err.str();
    out = to_out.str();
    err = to_err.str();
  }

  StaleNode node;
  std::string out, err;
};

TEST_P(Stale, AnAnswerIsNotedWithItsNodeAndItsAgeBesideTheOutput) {
  Run({"--stale", "--json"});
  EXPECT_EQ(err, kNote);
  EXPECT_EQ(out.front(), '{');
  EXPECT_THAT(out, Not(HasSubstr("own state")));
  Run({"--json"});
  EXPECT_EQ(err, "");
}

INSTANTIATE_TEST_SUITE_P(OfEachCommand, Stale,
                         testing::Values(std::vector<std::string>{"get", "exp-1"},
                                         std::vector<std::string>{"list"},
                                         std::vector<std::string>{"agents"},
                                         std::vector<std::string>{"targets"},
                                         std::vector<std::string>{"report", "exp-1"}),
                         [](const auto& command) { return command.param.front(); });

}  // namespace
}  // namespace faultline::cli
