#include "control/cow_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <thread>

namespace faultline::control {
namespace {

using Map = CowMap<uint64_t, std::string>;

std::map<uint64_t, std::string> Contents(const Map& map) {
  std::map<uint64_t, std::string> contents;
  for (const auto& [key, value] : map) contents[key] = value;
  return contents;
}

TEST(CowMap, BehavesAsAnOrderedMapUnderRandomChangesAndCopiesKeepTheirMoment) {
  std::mt19937_64 random(7);
  Map map;
  std::map<uint64_t, std::string> model;
  std::vector<std::pair<Map, std::map<uint64_t, std::string>>> copies;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t key = random() % 2'000;
    switch (random() % 4) {
      case 0:
        map.erase(key);
        model.erase(key);
        break;
      case 1:
        map[key] += "x";
        model[key] += "x";
        break;
      default:
        map.Set(key, std::to_string(step));
        model[key] = std::to_string(step);
    }
    if (step % 1'000 == 0) copies.emplace_back(map, model);
    const auto at = map.lower_bound(key);
    const auto expected = model.lower_bound(key);
    ASSERT_EQ(at == map.end(), expected == model.end());
    if (expected != model.end()) {
      ASSERT_EQ(at->first, expected->first);
    }
  }
  EXPECT_EQ(map.size(), model.size());
  EXPECT_EQ(Contents(map), model);
  for (const auto& [copy, contents] : copies) EXPECT_EQ(Contents(copy), contents);
}

TEST(CowMap, CanBeWalkedBackwards) {
  Map map;
  for (uint64_t i = 0; i < 1'000; ++i) map.Set(i, "v");
  uint64_t expected = 1'000;
  for (auto at = map.end(); at != map.begin();) EXPECT_EQ((--at)->first, --expected);
  EXPECT_EQ(expected, 0u);
}

TEST(CowMap, ACopyIsReadByOneThreadWhileAnotherChangesTheOriginal) {
  Map map;
  for (uint64_t i = 0; i < 5'000; ++i) map.Set(i, "old");
  for (int round = 0; round < 20; ++round) {
    auto copy = std::make_unique<Map>(map);
    const std::string before = copy->at(0);
    std::thread reader([copy = std::move(copy), before] {
      for (const auto& [key, value] : *copy) ASSERT_EQ(value, before) << key;
    });
    for (uint64_t i = 0; i < 5'000; ++i) map.Mutable(i) = std::to_string(round);
    reader.join();
  }
}

}  // namespace
}  // namespace faultline::control
