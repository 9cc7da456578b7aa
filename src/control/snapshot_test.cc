#include "control/snapshot.h"

#include <gtest/gtest.h>

#include "control/test_support.h"

namespace faultline::control {
namespace {

using testing::Driver;

Driver SomeState() {
  Driver d;
  d.Register("a", 1, {"x", "y"});
  const std::string done = d.Create("service:y", "r1");
  d.Report("a", 1, done, "a/y", chaos::v1::TARGET_PHASE_REFUSED, "no");
  d.Create("service:x", "r2");
  v1::Command raise;
  raise.mutable_raise_version()->set_version(2);
  d.Apply(raise);
  v1::Command report;
  report.mutable_record_report()->set_experiment_id(done);
  report.mutable_record_report()->add_targets()->set_target_id("a/y");
  d.Apply(report);
  return d;
}

TEST(Snapshot, RestoresTheSameState) {
  Driver d = SomeState();
  const auto restored = FromSnapshot(ToSnapshot(d.state));
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(ToSnapshot(*restored), ToSnapshot(d.state));
  EXPECT_EQ(restored->version, 2u);
  EXPECT_EQ(restored->unfinished, d.state.unfinished);
  EXPECT_EQ(restored->finished, d.state.finished);
  EXPECT_EQ(restored->reported, d.state.reported);
  EXPECT_EQ(restored->reported.size(), 1u);
  EXPECT_EQ(restored->by_revision, d.state.by_revision);
  EXPECT_EQ(restored->index_of_id, d.state.index_of_id);
  EXPECT_EQ(restored->index_of_request, d.state.index_of_request);
}

TEST(Snapshot, CutOffAnywhereOrWithSomethingAddedIsRefused) {
  const std::string bytes = ToSnapshot(SomeState().state);
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(FromSnapshot(bytes.substr(0, i)).status().code(), StatusCode::kDataLoss) << i;
  }
  EXPECT_EQ(FromSnapshot(bytes + "x").status().code(), StatusCode::kDataLoss);
}

TEST(Snapshot, OfALaterFormatIsRefused) {
  v1::SnapshotHeader header;
  header.set_format(3);
  const std::string bytes{1, static_cast<char>(header.ByteSizeLong())};
  EXPECT_EQ(ToString(FromSnapshot(bytes + header.SerializeAsString()).status().message()),
            "the snapshot has format 3; this version reads 2");
}

TEST(Snapshot, WrittenWhileTheStateGoesOnChangingIsOfTheMomentItWasTaken) {
  Driver d = SomeState();
  for (int i = 0; i < 300; ++i) {
    d.Register(fmt::format("b{}", i), 1, {"z"});
    d.Create(fmt::format("target:b{}/z", i));
  }
  const StateData taken = d.state;
  const std::string before = ToSnapshot(taken);
  const std::string some = d.state.experiments.begin()->second.experiment().experiment_id();
  d.Stop({}, /*all=*/true);
  d.Disconnect("a", 1);
  d.Register("c", 1, {"w"});
  d.Create("service:w");
  EXPECT_EQ(ToSnapshot(taken), before);
  EXPECT_NE(ToSnapshot(d.state), before);
}

TEST(Snapshot, ReadBesideAStateSharesWhatBothHave) {
  Driver d = SomeState();
  const std::string bytes = ToSnapshot(d.state);
  d.Stop({}, /*all=*/true);
  struct Source final : ByteSource {
    explicit Source(std::string_view all) : rest(all) {}
    StatusOr<std::string_view> Next() override {
      const std::string_view piece = rest.substr(0, 7);
      rest.remove_prefix(piece.size());
      return piece;
    }
    std::string_view rest;
  } source(bytes);
  const auto restored = ReadState(source, &d.state.experiments);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(ToSnapshot(*restored), bytes);
  int shared = 0, own = 0;
  for (const auto& [index, record] : restored->experiments) {
    ++(&record == &d.state.experiments.at(index) ? shared : own);
  }
  EXPECT_EQ(shared, 1) << "the one that had ended before";
  EXPECT_EQ(own, 1);
}

}  // namespace
}  // namespace faultline::control
