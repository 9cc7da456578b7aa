#include "faults/network/host_names.h"

#include <gtest/gtest.h>
#include <netdb.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "faults/driver.h"
#include "faults/network/named_peers.h"

namespace faultline::network {
namespace {

using namespace std::chrono_literals;

// What a lookup refers to is shared with it: a thread may be within one after the names have ended.

StatusOr<std::vector<Cidr>> Answer(HostNames* names, const std::string& name) {
  for (int i = 0; i < 6'000; ++i) {
    auto answer = names->AddressesOf(name);
    if (answer.status().code() != StatusCode::kUnavailable) return answer;
    std::this_thread::sleep_for(10ms);
  }
  return MakeError(StatusCode::kDeadlineExceeded, "no answer");
}

TEST(HostNames, LocalhostAndAddressesResolve) {
  HostNames names;
  const auto localhost = Answer(&names, "localhost");
  ASSERT_TRUE(localhost.ok()) << localhost.status();
  EXPECT_TRUE(std::find(localhost->begin(), localhost->end(), *ParseCidr("127.0.0.1")) !=
              localhost->end());
  const auto address = Answer(&names, "2001:db8::7");
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(*address, std::vector<Cidr>{*ParseCidr("2001:db8::7")});
}

TEST(HostNames, AskingNeverWaitsAndTheAnswerComesLater) {
  std::promise<void> go;
  auto gone = go.get_future().share();
  HostNames names([gone](const std::string&) -> StatusOr<std::vector<Cidr>> {
    gone.wait();
    return std::vector<Cidr>{*ParseCidr("10.0.0.1")};
  });
  const Status early = names.AddressesOf("db").status();
  EXPECT_EQ(early.code(), StatusCode::kUnavailable);
  EXPECT_EQ(ToString(early.message()), "'db' is still being resolved");
  EXPECT_EQ(DetailOf(early)->reason(), faults::kUnderWay);
  go.set_value();
  const auto answer = Answer(&names, "db");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->size(), 1u);
}

TEST(HostNames, ANameThatDoesNotResolveSaysSo) {
  HostNames names([](const std::string& name) -> StatusOr<std::vector<Cidr>> {
    return MakeError(StatusCode::kFailedPrecondition, "'{}' does not resolve: not known", name);
  });
  EXPECT_EQ(ToString(Answer(&names, "nope").status().message()),
            "'nope' does not resolve: not known");
}

TEST(HostNames, AResolverThatIsAwayIsNoAnswer) {
  const Status away = ResolverError("db", EAI_AGAIN), unknown = ResolverError("db", EAI_NONAME);
  EXPECT_EQ(away.code(), StatusCode::kUnavailable);
  EXPECT_EQ(ToString(away.message()),
            fmt::format("'db' does not resolve: {}", gai_strerror(EAI_AGAIN)));
  EXPECT_FALSE(DetailOf(away)) << "an attempt that has failed";
  EXPECT_EQ(unknown.code(), StatusCode::kFailedPrecondition);
}

TEST(HostNames, AResolverThatIsAwayIsAskedAgainSoon) {
  const auto asked = std::make_shared<std::atomic<int>>(0);
  HostNames names(
      [asked](const std::string& name) -> StatusOr<std::vector<Cidr>> {
        if (++*asked == 1) return ResolverError(name, EAI_AGAIN);
        return std::vector<Cidr>{*ParseCidr("10.0.0.1")};
      },
      /*every=*/1h);
  const auto answer = Answer(&names, "db");
  ASSERT_TRUE(answer.ok()) << answer.status();
}

TEST(HostNames, AFirstAnswerThatDoesNotComeIsToldAsSuch) {
  std::promise<void> go;
  auto gone = go.get_future().share();
  HostNames names(
      [gone](const std::string&) -> StatusOr<std::vector<Cidr>> {
        gone.wait();
        return std::vector<Cidr>{*ParseCidr("10.0.0.1")};
      },
      HostNames::kEvery, /*first_answer=*/20ms);
  const Status late = Answer(&names, "slow").status();
  EXPECT_EQ(late.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ToString(late.message()), "'slow' does not resolve: no answer within 0.02 s");
  go.set_value();
  while (!names.AddressesOf("slow").ok()) std::this_thread::sleep_for(1ms);
}

TEST(HostNames, ASlowNameDoesNotHoldTheOthers) {
  std::promise<void> go;
  auto gone = go.get_future().share();
  HostNames names([gone](const std::string& name) -> StatusOr<std::vector<Cidr>> {
    if (name == "slow") gone.wait();
    return std::vector<Cidr>{*ParseCidr("10.0.0.1")};
  });
  EXPECT_FALSE(names.AddressesOf("slow").ok());
  EXPECT_TRUE(Answer(&names, "db").ok());
  EXPECT_FALSE(names.AddressesOf("slow").ok());
  go.set_value();
}

TEST(NamedPeers, AskForAllTheirNamesAtOnceAndKeepTheReason) {
  std::promise<void> go;
  auto gone = go.get_future().share();
  struct Asked {
    std::mutex mutex;
    std::set<std::string> names;
  };
  const auto asked = std::make_shared<Asked>();
  HostNames names([asked, gone](const std::string& name) -> StatusOr<std::vector<Cidr>> {
    {
      const std::lock_guard lock(asked->mutex);
      asked->names.insert(name);
    }
    gone.wait();
    return std::vector<Cidr>{*ParseCidr("10.0.0.1")};
  });
  Filter filter;
  NamedPeers peers(filter, {{"slow", "db"}, {"out"}});
  const Status waits = peers.Fill(&names, &filter);
  EXPECT_EQ(ToString(waits.message()), "peer_host: 'slow' is still being resolved");
  EXPECT_EQ(DetailOf(waits)->reason(), faults::kUnderWay);
  const auto all_asked = [&] {
    const std::lock_guard lock(asked->mutex);
    return asked->names.size() == 3;
  };
  while (!all_asked()) std::this_thread::sleep_for(1ms);
  go.set_value();
  while (!peers.Fill(&names, &filter).ok()) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(filter.prefixes[FL_PEER].size(), 2u);
  EXPECT_EQ(filter.excluded.size(), 1u);
}

TEST(HostNames, AreLookedUpAgainAndKeepTheirLastAddressesWhenThatFails) {
  const auto asked = std::make_shared<std::atomic<int>>(0);
  HostNames names(
      [asked](const std::string&) -> StatusOr<std::vector<Cidr>> {
        const int turn = ++*asked;
        if (turn > 2) return MakeError(StatusCode::kFailedPrecondition, "the resolver is away");
        return std::vector<Cidr>{*ParseCidr(turn == 1 ? "10.0.0.1" : "10.0.0.2")};
      },
      1ms);
  ASSERT_TRUE(Answer(&names, "db").ok());
  while (*asked < 10) std::this_thread::sleep_for(1ms);
  const auto answer = names.AddressesOf("db");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, std::vector<Cidr>{*ParseCidr("10.0.0.2")});
}

TEST(HostNames, MayEndWhileALookupIsUnderWay) {
  std::promise<void> go;
  auto gone = go.get_future().share();
  const auto begun = std::make_shared<std::promise<void>>();
  {
    HostNames names([gone, begun](const std::string&) -> StatusOr<std::vector<Cidr>> {
      begun->set_value();
      gone.wait();
      return std::vector<Cidr>{};
    });
    (void)names.AddressesOf("slow");
    begun->get_future().wait();
  }
  go.set_value();
}

}  // namespace
}  // namespace faultline::network
