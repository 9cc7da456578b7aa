// Peers of a rule that change, by what the kernel's tables say of them.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "bpf/fd.h"
#include "faults/network/kernel.h"
#include "faults/network/named_peers.h"
#include "netns/harness.h"

namespace faultline::netns_test {
namespace {

using namespace std::chrono_literals;

// The tables of a kernel that nothing is attached to, and what a rule's peers are in them.
struct Peers {
  Peers(network::Kernel* kernel, int map_fd)
      : prefixes(map_fd),
        tables(kernel->tables(), map_fd, kernel->map_fd("fl_cgroups"),
               [this, kernel](unsigned chunk) -> StatusOr<fl_bits*> {
                 FL_ASSIGN_OR_RETURN(sets, kernel->AddSets(chunk));
                 return sets;
               }) {}

  // Whether the rule's are 10.0.third.last among others.
  bool Have(uint32_t third, uint32_t last) const {
    fl_prefix_key key{};
    key.prefix_bits = FL_PREFIX_BITS(32);
    key.of = FL_PREFIX_OF(FL_PEER, true);
    key.address[0] = htonl(10u << 24 | third << 8 | last);
    fl_covering covering{};
    return bpf_map_lookup_elem(prefixes, &key, &covering) == 0 && covering.in != 0 &&
           network::Has(sets[covering.in], kRule);
  }

  static constexpr unsigned kRule = network::RuleBit(0);
  const int prefixes;
  fl_bits* sets = nullptr;
  network::Tables tables;
};

class PeersTest : public DriverTest {};

// Of a number that was another rule's before.
TEST_F(PeersTest, OnlyOneNetworkThatStaysIsComparedDirectly) {
  const auto kernel = network::Kernel::Load();
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  Peers peers(kernel->get(), (*kernel)->map_fd("fl_prefixes"));
  const auto net = [](const char* text) { return *network::ParseCidr(text); };
  network::Filter sole;
  sole.egress = true;
  sole.prefixes[FL_PEER] = {net("10.0.1.0/24"), net("10.0.1.0/24")};
  auto two = sole, local = sole, excluding = sole, cgroup = sole, any = sole;
  two.prefixes[FL_PEER].push_back(net("10.0.2.0/24"));
  local.prefixes[FL_LOCAL] = {net("10.0.3.0/24")};
  excluding.excluded = {net("10.0.1.1")};
  cgroup.cgroup = network::Filter::Cgroup{1, 1};
  any.prefixes[FL_PEER].clear();
  const __u32& family = (*kernel)->tables()->rule[0].sole_peer.family;
  for (const auto& other : {two, local, excluding, cgroup, any}) {
    ASSERT_TRUE(peers.tables.Set(Peers::kRule, sole).ok());
    EXPECT_EQ(family, __u32{FL_SOLE_IPV4});
    peers.tables.Clear(Peers::kRule);
    ASSERT_TRUE(peers.tables.Set(Peers::kRule, other).ok());
    EXPECT_EQ(family, 0u);
    peers.tables.Clear(Peers::kRule);
  }
  ASSERT_TRUE(peers.tables.Set(Peers::kRule, sole).ok());
  ASSERT_TRUE(peers.tables.SetPeers(Peers::kRule, {net("10.0.4.0/24")}, {}).ok());
  EXPECT_EQ(family, 0u) << "packets would go by the network that it was";
}

TEST_F(PeersTest, PeersForWhichThereIsNoRoomChangeNothingHoweverOftenTheyAreAskedFor) {
  const auto kernel = network::Kernel::Load();
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
  const bpf::UniqueFd few(bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "few", sizeof(fl_prefix_key),
                                         sizeof(fl_covering), 4, &options));
  Peers peers(kernel->get(), few.get());
  network::Filter filter;
  filter.egress = true;
  filter.prefixes[FL_PEER] = {*network::ParseCidr("10.0.0.1")};
  ASSERT_TRUE(peers.tables.Set(Peers::kRule, filter).ok());
  std::vector<network::Cidr> many;
  for (int i = 2; i < 9; ++i) many.push_back(*network::ParseCidr(fmt::format("10.0.0.{}", i)));
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(peers.tables.SetPeers(Peers::kRule, many, many).code(),
              StatusCode::kResourceExhausted);
    EXPECT_TRUE(peers.Have(0, 1));
    for (uint32_t last = 2; last < 9; ++last) EXPECT_FALSE(peers.Have(0, last)) << last;
  }
  EXPECT_TRUE(peers.tables.SetPeers(Peers::kRule, {many[0], many[1]}, {many[2]}).ok());
  EXPECT_TRUE(peers.Have(0, 2) && peers.Have(0, 3) && !peers.Have(0, 1) && !peers.Have(0, 4));
}

TEST_F(PeersTest, HostsThatMoveTakeTheFaultWithThem) {
  std::atomic<const char*> address = "10.0.0.1";
  network::HostNames names(
      [&address](const std::string&) -> StatusOr<std::vector<network::Cidr>> {
        return std::vector<network::Cidr>{*network::ParseCidr(address.load())};
      },
      1ms);
  const auto kernel = network::Kernel::Load();
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  Peers peers(kernel->get(), (*kernel)->map_fd("fl_prefixes"));
  network::Filter filter;
  filter.egress = true;
  filter.prefixes[FL_PEER].push_back(*network::ParseCidr("10.0.1.0/24"));
  network::NamedPeers named(filter, {{"db"}, {}});
  while (!named.Fill(&names, &filter).ok()) std::this_thread::sleep_for(1ms);
  ASSERT_TRUE(peers.tables.Set(Peers::kRule, filter).ok());
  EXPECT_TRUE(peers.Have(0, 1));
  EXPECT_TRUE(peers.Have(1, 7));
  address = "10.0.0.2";
  for (int i = 0; i < 1000 && !peers.Have(0, 2); ++i) {
    named.Follow(&names, &peers.tables, Peers::kRule);
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_TRUE(peers.Have(0, 2));
  EXPECT_FALSE(peers.Have(0, 1));
  EXPECT_TRUE(peers.Have(1, 7));
}

}  // namespace
}  // namespace faultline::netns_test
