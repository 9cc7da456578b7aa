// Which counters have memory, on maps as the programs have them.
#include "faults/network/chunk_store.h"

#include <bpf/bpf.h>

#include <array>
#include <map>

#include "netns/harness.h"

namespace faultline::netns_test {
namespace {

using Counts = std::map<unsigned, uint64_t>;

constexpr unsigned kSecond = FL_CHUNK_COUNTERS, kThird = 2 * FL_CHUNK_COUNTERS;

// A store of two chunks, and an owner who has places for three.
class ChunkStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = WhyNot()) GTEST_SKIP() << *reason;
    LIBBPF_OPTS(bpf_map_create_opts, mapped, .map_flags = BPF_F_MMAPABLE);
    chunks_fd_ = bpf::UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "chunks", sizeof(__u32),
                                              sizeof(fl_chunk), FL_CHUNKS, &mapped));
    free_fd_ =
        bpf::UniqueFd(bpf_map_create(BPF_MAP_TYPE_QUEUE, "free", 0, sizeof(__u32), 2, nullptr));
    auto store = network::ChunkStore::Open(chunks_fd_.get(), free_fd_.get());
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    auto chunks = bpf::MappedArray<fl_chunk>::Map(chunks_fd_.get(), FL_CHUNKS);
    ASSERT_TRUE(chunks.ok()) << chunks.status();
    chunks_ = *std::move(chunks);
  }
  bool Count(unsigned counter) { return store_.Count(numbers_, counter); }
  Counts Take() {
    Counts counts;
    store_.Take(std::span(numbers_),
                [&](unsigned place, uint64_t count) { counts[place] += count; });
    return counts;
  }
  // Nothing is counted in the second place for as long as it takes. Result: what its chunk was,
  // which a program may still have in hand.
  __u32 LeaveSecond() {
    EXPECT_TRUE(Count(kSecond));
    EXPECT_EQ(Take(), (Counts{{kSecond, 1}}));
    const __u32 number = numbers_[1];
    store_.FreeIdle(numbers_);
    EXPECT_EQ(numbers_[1], number);
    store_.FreeIdle(numbers_);
    EXPECT_EQ(numbers_[1], 0u);
    return number;
  }

  bpf::UniqueFd chunks_fd_, free_fd_;
  network::ChunkStore store_;
  bpf::MappedArray<fl_chunk> chunks_;
  std::array<__u32, 3> numbers_{};
};

TEST_F(ChunkStoreTest, WhatIsNotCountedInForLongIsForOthersAndTheRestStays) {
  EXPECT_TRUE(Count(0));
  EXPECT_TRUE(Count(kSecond));
  EXPECT_EQ(Take(), (Counts{{0, 1}, {kSecond, 1}}));
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(Count(kThird)) << "there is no room at " << i;
    EXPECT_TRUE(Count(0));
    EXPECT_EQ(Take(), (Counts{{0, 1}}));
    store_.FreeIdle(numbers_);
  }
  EXPECT_TRUE(Count(kThird));
  EXPECT_EQ(Take(), (Counts{{kThird, 1}}));
}

TEST_F(ChunkStoreTest, WhatNobodyHasTakenOutYetStays) {
  EXPECT_TRUE(Count(0));
  for (int i = 0; i < 3; ++i) store_.FreeIdle(numbers_);
  EXPECT_EQ(Take(), (Counts{{0, 1}}));
}

TEST_F(ChunkStoreTest, ACountThatComesAfterAChunkWasTakenIsItsOwnersStill) {
  const __u32 number = LeaveSecond();
  chunks_[number].count[5] = 3;
  store_.FreeIdle(numbers_);
  EXPECT_EQ(numbers_[1], number);
  EXPECT_EQ(Take(), (Counts{{kSecond + 5, 3}}));
}

TEST_F(ChunkStoreTest, ACountThatComesAfterAChunkWasTakenJoinsThoseInTheNextOne) {
  const __u32 number = LeaveSecond();
  EXPECT_TRUE(Count(kSecond + 5));
  chunks_[number].count[5] = 3;
  chunks_[number].count[6] = 4;
  store_.FreeIdle(numbers_);
  EXPECT_EQ(Take(), (Counts{{kSecond + 5, 4}, {kSecond + 6, 4}}));
  EXPECT_TRUE(Count(kThird)) << "the first one is free";
  EXPECT_EQ(Take(), (Counts{{kThird, 1}}));
}

TEST_F(ChunkStoreTest, ACountForAnOwnerThatIsGoneIsNobodys) {
  const __u32 number = LeaveSecond();
  chunks_[number].count[5] = 3;
  store_.Free(numbers_);
  store_.FreeIdle(numbers_);
  EXPECT_TRUE(Count(0));
  EXPECT_TRUE(Count(kSecond));
  EXPECT_EQ(Take(), (Counts{{0, 1}, {kSecond, 1}}));
}

}  // namespace
}  // namespace faultline::netns_test
