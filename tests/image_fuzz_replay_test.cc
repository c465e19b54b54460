// The images that fuzzing begins with and has found worth keeping, in every
// build.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/image_restores.h"
#include "tests/random_seed.h"

namespace simvisor {
namespace {

std::vector<std::filesystem::path> Corpus() {
  std::vector<std::filesystem::path> paths;
  for (const char* folder :
       {"tests/testdata/streams", "tests/fuzz/corpus/image"}) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string ReadBytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ImageFuzzReplayTest, CorpusBreaksNothing) {
  const auto paths = Corpus();
  EXPECT_GT(paths.size(), 15) << "the corpus is not there";
  for (const std::filesystem::path& path : paths) {
    EXPECT_EQ(RestoreBytes(ReadBytes(path)), std::nullopt) << path;
  }
}

TEST(ImageFuzzReplayTest, CorpusWithBytesChangedBreaksNothing) {
  const uint64_t seed = TestSeeds(1).front();
  SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (const std::filesystem::path& path : Corpus()) {
    const std::string image = ReadBytes(path);
    for (int i = 0; i < 20 && !image.empty(); ++i) {
      std::string changed = image;
      const size_t range =
          i % 2 == 0 ? std::min<size_t>(600, changed.size()) : changed.size();
      for (int n = 0; n < 4; ++n) {
        changed[random() % range] = static_cast<char>(random());
      }
      EXPECT_EQ(RestoreBytes(changed), std::nullopt) << path;
    }
  }
}

}  // namespace
}  // namespace simvisor
