// Replays the inputs that fuzzing has kept, in every build.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/p2m_operations.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

constexpr char kCorpus[] = "tests/fuzz/corpus/p2m";

std::vector<uint8_t> ReadInput(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(P2mFuzzReplayTest, CorpusAgreesWithTheModel) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  EXPECT_GT(paths.size(), 20) << "the corpus is not there";
  for (const std::filesystem::path& path : paths) {
    EXPECT_EQ(P2mOperations(ReadInput(path)).Run(), std::nullopt) << path;
  }
}

TEST(P2mFuzzReplayTest, AnyBytesAgreeWithTheModel) {
  for (const uint64_t seed : TestSeeds(400)) {
    std::mt19937_64 random(seed);
    std::vector<uint8_t> bytes(random() % 600);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    ASSERT_EQ(P2mOperations(bytes).Run(), std::nullopt)
        << "SIMVISOR_SEED=" << seed;
  }
}

}  // namespace
}  // namespace simvisor
