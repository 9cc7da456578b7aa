// Answers above gRPC's own limit, 4 MiB.
#include <gtest/gtest.h>

#include "client/client.h"
#include "client/test_node.h"

namespace faultline::client {
namespace {

class LargeNode final : public FakeNode {
 public:
  grpc::Status ListTargets(grpc::ServerContext*, const chaos::v1::ListTargetsRequest*,
                           chaos::v1::ListTargetsResponse* response) override {
    response->add_targets()->set_name(std::string(8 << 20, 'x'));
    return grpc::Status::OK;
  }
};

TEST(LargeAnswer, IsTaken) {
  LargeNode node;
  Options options;
  options.addresses = node.address();
  options.timeout = std::chrono::minutes(1);
  const auto client = Client::Create(options);
  ASSERT_TRUE(client.ok()) << client.status();
  const auto listed = (*client)->ListTargets({});
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->targets(0).name().size(), size_t{8} << 20);
}

}  // namespace
}  // namespace faultline::client
