#include "server/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace faultline::server {
namespace {

using testing::HasSubstr;

// Nodes by address, each with one answer; nobody is at any other.
class Asked final : public ClusterPeers {
 public:
  void Describe(const std::string& address, const v1::DescribeRequest&, uint64_t,
                Done<v1::DescribeResponse> done) override {
    const auto found = answers.find(address);
    if (found == answers.end()) return done(absl::UnavailableError("nobody is there"));
    done(found->second);
  }
  void Change(const std::string&, const v1::ChangeRequest&, uint64_t,
              std::function<void(Status)>) override {}
  void Shutdown() override {}

  std::map<std::string, StatusOr<v1::DescribeResponse>> answers;
};

TEST(Join, TakesTheFirstNodeThatBelongsToACluster) {
  Asked peers;
  peers.answers["new:7401"] = v1::DescribeResponse();
  v1::DescribeResponse member;
  member.set_cluster_id("ours");
  peers.answers["member:7401"] = member;
  const auto found = FindCluster(&peers, {"away:7401", "new:7401", "member:7401"}, 4, {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->cluster_id(), "ours");
}

TEST(Join, SaysOfEachAddressWhyItDoesNotHelp) {
  Asked peers;
  peers.answers["new:7401"] = v1::DescribeResponse();
  peers.answers["no-such-host:7401"] =
      absl::UnavailableError("DNS resolution failed for no-such-host:7401");
  const auto found = FindCluster(&peers, {"no-such-host:7401", "new:7401"}, 4, {});
  EXPECT_EQ(found.status().code(), StatusCode::kUnavailable);
  const std::string sentence = ToString(found.status().message());
  EXPECT_THAT(sentence, HasSubstr("no cluster to join was found"));
  EXPECT_THAT(sentence, HasSubstr("no-such-host:7401: DNS resolution failed for"));
  EXPECT_THAT(sentence, HasSubstr("new:7401: its cluster has had no leader yet"));
}

}  // namespace
}  // namespace faultline::server
