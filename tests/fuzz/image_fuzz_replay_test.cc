// Replays the images that fuzzing starts from and has kept, in every build.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/image_comparison.h"
#include "tests/fuzz/image_restores.h"
#include "tests/support/image_testing.h"
#include "tests/support/random_seed.h"

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

TEST(ImageComparisonTest, ADifferentByteOrBalloonIsFound) {
  const auto host = MakeHost(20000);
  const auto to = MakeHost(20000);
  const auto guest = MustCreate(*host, MakeSpec("compared", 3000));
  ASSERT_THAT(guest->contents().Write({"write"}, Pfn(700), 9,
                                      "a page that was written"),
              IsOk());
  std::string image = SaveAll(guest);
  const auto restored = RestoreAll(*to, image, MakeSpec("compared", 0));
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(CompareWithImage(**restored, image), std::nullopt);
  image[image.find("a page that")] = 'A';
  EXPECT_EQ(CompareWithImage(**restored, image),
            "pfn 0x2bc holds other bytes than in the image");
  ASSERT_THAT(
      guest->migration().Resume({"resume"}, guest->Info().suspension, false),
      IsOk());
  ASSERT_THAT(guest->balloon().Down({"balloon down"}, PageCount(3), false),
              IsOk());
  EXPECT_EQ(CompareWithImage(**restored, SaveAll(guest)),
            "other words are RAM");
}

TEST(ImageComparisonTest, ADifferentByteOrEntryOfAForeignGuestIsFound) {
  const std::string image =
      ReadBytes("tests/testdata/streams/valid-pv64.libxc");
  const auto host = MakeHost(20000);
  const auto domain = RestoreAll(*host, image, MakeSpec("compared", 0));
  ASSERT_THAT(domain, IsOk());
  EXPECT_EQ(CompareWithImage(**domain, image), std::nullopt);
  // Only pages of its p2m list make no difference: restorers do not keep them.
  const size_t first_page = image.size() % kPageSize;
  size_t told = 0;
  for (size_t at = first_page + 20; at < image.size(); at += kPageSize / 4) {
    std::string other = image;
    other[at] = static_cast<char>(~other[at]);
    if (CompareWithImage(**domain, other).has_value()) ++told;
  }
  EXPECT_GE(told, 10u);
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
