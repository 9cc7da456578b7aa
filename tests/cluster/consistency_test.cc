// Real controllers under concurrent clients while they are killed, stopped, cut off, slowed down
// and restarted: what the clients saw must be what one linearizable server could have shown them,
// and nothing that was acknowledged may be lost or done twice.
#include <gtest/gtest.h>

#include <csignal>
#include <iostream>

#include "tests/cluster/cluster.h"
#include "tests/cluster/load.h"
#include "tests/cluster/sites.h"

namespace faultline::cluster {
namespace {

constexpr int kNodes = 3;

class Consistency : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Sites::EnterOwnNamespace(); !why.empty()) GTEST_SKIP() << why;
    sites_ = std::make_unique<Sites>(Sites::Options{.nodes = kNodes, .lease = "2s"});
    ASSERT_FALSE(HasFailure()) << "the sites could not be made";
    load_ = std::make_unique<Load>(sites_->api_addresses(), sites_->tls());
    ASSERT_TRUE(load_->IsReady()) << sites_->Logs();
  }

  void TearDown() override {
    if (sites_ && HasFailure()) std::cerr << sites_->Logs();
    load_.reset();
  }

  int RandomNode() { return static_cast<int>(load_->Draw(1, kNodes)); }

  std::unique_ptr<Sites> sites_;
  std::unique_ptr<Load> load_;
};

TEST_F(Consistency, HoldsWhileNodesAreKilledStoppedCutOffAndSlow) {
  load_->While([&] {
    for (int round = 0; round < 16; ++round) {
      const int node = RandomNode();
      const int other = node % kNodes + 1;
      switch (round % 5) {
        case 0:
          sites_->process(node).Kill();
          load_->Sleep(200, 800);
          sites_->Start(node);
          break;
        case 1:
          sites_->process(node).Signal(SIGSTOP);
          load_->Sleep(300, 1'500);
          sites_->process(node).Signal(SIGCONT);
          break;
        case 2:  // alone
          for (int each = 1; each <= kNodes; ++each) {
            if (each == node) continue;
            sites_->Cut(node, each);
            sites_->Cut(each, node);
          }
          load_->Sleep(500, 1'500);
          sites_->Mend();
          break;
        case 3:  // one way only
          sites_->Cut(node, other);
          load_->Sleep(500, 1'500);
          sites_->Mend();
          break;
        case 4:
          sites_->SlowDisk(node, 100'000);
          load_->Sleep(500, 1'500);
          sites_->SlowDisk(node, 0);
          break;
      }
      load_->Sleep(100, 400);
    }
  });
  load_->Judge({0, 1, 2});
}

TEST_F(Consistency, HoldsThroughRollingRestartsAndTheLossOfAllPower) {
  load_->While([&] {
    for (int round = 0; round < 2; ++round) {
      for (int node = 1; node <= kNodes; ++node) {
        EXPECT_TRUE(Eventually([&] { return sites_->Serves(node); })) << sites_->Log(node);
        sites_->process(node).Signal(SIGTERM);
        EXPECT_EQ(sites_->process(node).Wait(), 0);
        sites_->Start(node);
        load_->Sleep(500, 1'000);
      }
      for (int node = 1; node <= kNodes; ++node) sites_->process(node).Kill();
      for (int node = 1; node <= kNodes; ++node) sites_->Start(node);
      load_->Sleep(1'000, 1'500);
    }
  });
  load_->Judge({0, 1, 2});
}

}  // namespace
}  // namespace faultline::cluster
