// DNS_FAULT between dig and dnsmasq.
#include <tuple>

#include "base/clock.h"
#include "netns/traffic.h"

namespace faultline::netns_test {
namespace {

using testing::HasSubstr;
using testing::Not;

using Parameters = std::map<std::string, std::string>;

constexpr char kName[] = "db.example.com", kOther[] = "www.other.test";
constexpr char kAddress4[] = "192.0.2.10\n", kAddress6[] = "2001:db8::10\n";
constexpr int kNoReply = 9;  // dig's exit code

class DnsTest : public DriverTest {
 protected:
  void SetUp() override {
    DriverTest::SetUp();
    if (!network_) return;
    server_ = std::make_unique<Process>(Network::Inside(
        network_->server_netns(),
        {"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
         "--pid-file=", "--user=", "--group=", "--log-facility=/dev/null", "--no-resolv",
         "--no-hosts", "--address=/example.com/192.0.2.10", "--address=/example.com/2001:db8::10",
         "--address=/other.test/192.0.2.20", "--mx-host=db.example.com,mail.example.com,1"}));
    ASSERT_TRUE(Eventually([&] { return Dig(kName, {"+time=1"}).exit_code == 0; }));
  }

  struct Said {
    std::string text;
    int exit_code = 0;
  };
  Said Dig(const std::string& name, std::vector<std::string> more = {}) const {
    return DigAt(network_->client_netns(), Network::kServer4, name, std::move(more));
  }
  static Said DigAt(const std::string& netns, const std::string& server, const std::string& name,
                    const std::vector<std::string>& more) {
    // Options before the first name hold for every query.
    std::vector<std::string> command = {"dig", "@" + server, "+tries=1", "+time=15"}, rest = {name};
    for (const std::string& word : more) (word[0] == '+' ? command : rest).push_back(word);
    command.insert(command.end(), rest.begin(), rest.end());
    Said said;
    said.text = RunAnyhow(Network::Inside(netns, command), &said.exit_code);
    return said;
  }

  std::unique_ptr<Process> server_;
};

// Target, address, protocol.
using Way = std::tuple<bool, const char*, const char*>;
class EveryWay : public DnsTest, public testing::WithParamInterface<Way> {
 protected:
  Said Ask(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {std::string(std::get<2>(GetParam())) == "tcp" ? "+tcp"
                                                                                  : "+notcp"};
    all.insert(all.end(), more.begin(), more.end());
    return DigAt(network_->client_netns(), std::get<1>(GetParam()), name, all);
  }
  void ArmFault(Parameters parameters) {
    parameters.insert({{"direction", std::get<0>(GetParam()) ? "ingress" : "egress"},
                       {"names", "*.Example.com,x.test"}});
    ArmKind("DNS_FAULT", parameters);
  }
  void SetUp() override {
    DnsTest::SetUp();
    if (network_) SetTarget(std::get<0>(GetParam()) ? ServerTarget() : ClientTarget());
  }
};

int Count(const std::string& text, const std::string& words) {
  int count = 0;
  for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1))
    ++count;
  return count;
}

TEST_P(EveryWay, QueriesForTheNamesGetTheErrorAskedAndOthersTheirAnswer) {
  const std::map<std::string, std::string> kErrors = {
      {"nxdomain", "NXDOMAIN"}, {"servfail", "SERVFAIL"}, {"refused", "REFUSED"}};
  for (const auto& [answer, status] : kErrors) {
    ArmFault({{"answer", answer}});
    const Said said = Ask(kName, {"A", kName, "AAAA", kName, "MX"});
    EXPECT_EQ(said.exit_code, 0) << said.text;
    EXPECT_EQ(Count(said.text, "status: " + status), 3) << said.text;
    EXPECT_THAT(said.text, Not(HasSubstr(";; Warning")));
    // Nothing for the first of the three.
    EXPECT_EQ(Ask("DB.EXAMPLE.com", {"+short", kOther, "example.com"}).text,
              std::string("192.0.2.20\n") + kAddress4);
    const auto counters = SettledCounters();
    EXPECT_THAT(counters.queries_failed(), OrSentAgain(4));
    EXPECT_GE(counters.matched(), 6u);
    EXPECT_EQ(counters.lane_dropped(), 0u);
    Disarm();
    (void)Sample();
    EXPECT_EQ(Ask(kName, {"+short"}).text, kAddress4);
  }
}

TEST_P(EveryWay, QueriesAreLost) {
  ArmFault({{"answer", "timeout"}});
  EXPECT_EQ(Ask(kName, {"+time=2"}).exit_code, kNoReply);
  EXPECT_EQ(Ask(kOther, {"+short"}).text, "192.0.2.20\n");
  EXPECT_GE(SettledCounters().queries_failed(), 1u);
  Disarm();
  EXPECT_EQ(Ask(kName, {"+short"}).text, kAddress4);
}

TEST_P(EveryWay, QueriesForAddressesGetWrongOnes) {
  ArmFault({{"answer", "address"}, {"addresses", "198.51.100.1,198.51.100.2,2001:db8::bad"}});
  EXPECT_EQ(Ask(kName, {"+short", "A", kName, "AAAA", kOther}).text,
            "198.51.100.1\n198.51.100.2\n2001:db8::bad\n192.0.2.20\n");
  ArmFault({{"answer", "address"}, {"addresses", "198.51.100.1"}});
  const Said none = Ask(kName, {"AAAA"});
  EXPECT_THAT(none.text, HasSubstr("status: NOERROR"));
  EXPECT_THAT(none.text, HasSubstr("ANSWER: 0"));
  // What is no query for addresses passes.
  EXPECT_EQ(Ask(kName, {"+short", "MX"}).text, "1 mail.example.com.\n");
  const uint64_t failed = SettledCounters().queries_failed();
  EXPECT_THAT(failed, OrSentAgain(1));
  Disarm();
  EXPECT_EQ(Ask(kName, {"+short", "AAAA"}).text, kAddress6);
}

INSTANTIATE_TEST_SUITE_P(Ways, EveryWay,
                         testing::Combine(testing::Bool(),
                                          testing::Values(Network::kServer4, Network::kServer6),
                                          testing::Values("udp", "tcp")));

TEST_F(DnsTest, ManyConnectionsThatEndWithTheirAnswerLeaveNoneHanging) {
  SetTarget(ClientTarget());
  ArmKind("DNS_FAULT", {{"names", "*"}});
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(Dig(fmt::format("n{}.test", i), {"+tcp"}).text, HasSubstr("status: NXDOMAIN"));
  }
  for (const auto& netns : {network_->client_netns(), network_->server_netns()}) {
    const auto open = [&netns] {
      return RunProgram(Network::Inside(
          netns, {"ss", "-Htn", "state", "established", "( sport = 53 or dport = 53 )"}));
    };
    // What ends the last one comes right behind its answer, which dig does not wait for.
    EXPECT_TRUE(Eventually([&] { return open().empty(); })) << open();
  }
}

TEST_F(DnsTest, AResolverOnLoopbackIsAnsweredFor) {
  chaos::v1::Target target = ServerTarget();
  target.set_interface("lo");
  SetTarget(target);
  ArmKind("DNS_FAULT", {{"names", kName}, {"answer", "address"}, {"addresses", "198.51.100.1"}});
  for (const char* protocol : {"+notcp", "+tcp"}) {
    for (const char* server : {"127.0.0.1", "::1"}) {
      EXPECT_EQ(DigAt(network_->server_netns(), server, kName, {"+short", protocol}).text,
                "198.51.100.1\n");
    }
  }
  Disarm();
  EXPECT_EQ(DigAt(network_->server_netns(), "127.0.0.1", kName, {"+short"}).text, kAddress4);
}

TEST_F(DnsTest, QueriesOfATargetThatServesOnOtherPortsAreItsOwn) {
  SetTarget(ClientTarget({6379}));
  ArmKind("DNS_FAULT", {{"names", "*.example.com"}});
  for (const char* protocol : {"+notcp", "+tcp"}) {
    EXPECT_THAT(Dig(kName, {protocol}).text, HasSubstr("NXDOMAIN")) << protocol;
    EXPECT_EQ(Dig(kOther, {"+short", protocol}).text, "192.0.2.20\n");
  }
  EXPECT_GE(SettledCounters().queries_failed(), 2u);
}

TEST_F(DnsTest, OnlyTheProtocolAndPortAsked) {
  SetTarget(ClientTarget());
  ArmKind("DNS_FAULT", {{"names", "*"}, {"protocol", "tcp"}});
  EXPECT_EQ(Dig(kName, {"+short", "+notcp"}).text, kAddress4);
  EXPECT_THAT(Dig(kName, {"+tcp"}).text, HasSubstr("NXDOMAIN"));
  ArmKind("DNS_FAULT", {{"names", "*"}, {"peer_port", "5353"}});
  EXPECT_EQ(Dig(kName, {"+short"}).text, kAddress4);
}

TEST_F(DnsTest, NamesAreFoundOnceTheLeaseHasRunOutAndNothingIsLeft) {
  const std::string before = network_->KernelState(network_->server_netns());
  SetTarget(ServerTarget());
  ArmKind("DNS_FAULT", {{"names", "*"}, {"direction", "ingress"}});
  EXPECT_THAT(Dig(kName).text, HasSubstr("NXDOMAIN"));
  lease_->heartbeat_until_ns = BoottimeNowNs();
  EXPECT_EQ(Dig(kName, {"+short"}).text, kAddress4);
  EXPECT_GT(SettledCounters().lease_expired(), 0u);
  HoldLeases();
  EXPECT_THAT(Dig(kName).text, HasSubstr("NXDOMAIN"));
  ExpectNothingLeft(before);
  EXPECT_EQ(Dig(kName, {"+short"}).text, kAddress4);
}

}  // namespace
}  // namespace faultline::netns_test
