#include "domain/frames/page_contents.h"

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

// Writes, with a spare page if the write takes one.
void Write(PageContents& contents, Mfn mfn, uint64_t offset,
           const std::string& data) {
  static auto* const store = new PageStore();
  std::vector<PagePtr> spare;
  if (contents.TakesPage(mfn, data)) spare.push_back(store->TakeAnyway());
  contents.Write(mfn, offset, data, spare);
  EXPECT_TRUE(spare.empty());
}

std::string ReadAll(const PageContents& contents, Mfn mfn) {
  std::string bytes(kPageSize, 'x');
  contents.Read(mfn, 0, absl::MakeSpan(&bytes[0], bytes.size()));
  return bytes;
}

TEST(PageContentsTest, FrameNeverWrittenReadsAsZeros) {
  PageContents contents(std::make_shared<PageStore>());
  EXPECT_EQ(contents.Find(Mfn(7)), nullptr);
  EXPECT_EQ(ReadAll(contents, Mfn(7)), std::string(kPageSize, '\0'));
  EXPECT_EQ(contents.size(), 0u);
}

TEST(PageContentsTest, WriteInTheMiddleLeavesTheRestZero) {
  PageContents contents(std::make_shared<PageStore>());
  Write(contents, Mfn(7), 100, "abc");
  std::string expected(kPageSize, '\0');
  expected.replace(100, 3, "abc");
  EXPECT_EQ(ReadAll(contents, Mfn(7)), expected);
  EXPECT_EQ(contents.Find(Mfn(6)), nullptr);
  EXPECT_EQ(contents.Find(Mfn(8)), nullptr);
}

TEST(PageContentsTest, LastBytesOfAFrameCanBeWrittenAndRead) {
  PageContents contents(std::make_shared<PageStore>());
  Write(contents, Mfn(1), kPageSize - 2, "yz");
  Write(contents, Mfn(1), kPageSize, "");
  std::string bytes(2, '\0');
  contents.Read(Mfn(1), kPageSize - 2, absl::MakeSpan(&bytes[0], 2));
  EXPECT_EQ(bytes, "yz");
}

TEST(PageContentsTest, ZerosCostNothingForAnUnwrittenFrame) {
  PageContents contents(std::make_shared<PageStore>());
  Write(contents, Mfn(7), 0, std::string(kPageSize, '\0'));
  Write(contents, Mfn(8), 9, "");
  EXPECT_EQ(contents.size(), 0u);
}

TEST(PageContentsTest, ZerosOverwriteContents) {
  PageContents contents(std::make_shared<PageStore>());
  Write(contents, Mfn(7), 0, "abcd");
  Write(contents, Mfn(7), 1, std::string(2, '\0'));
  EXPECT_EQ(ReadAll(contents, Mfn(7)).substr(0, 4),
            std::string({'a', '\0', '\0', 'd'}));
}

TEST(PageContentsTest, ZerosOverAWholeFrameRemoveItsContent) {
  PageContents contents(std::make_shared<PageStore>());
  Write(contents, Mfn(7), 0, "abcd");
  Write(contents, Mfn(7), 0, std::string(kPageSize, '\0'));
  EXPECT_EQ(contents.size(), 0u);
  EXPECT_EQ(ReadAll(contents, Mfn(7)), std::string(kPageSize, '\0'));
}

TEST(PageContentsTest, DropForgetsOnlyTheExtent) {
  PageContents contents(std::make_shared<PageStore>());
  for (uint64_t mfn : {9, 10, 11, 19, 20}) Write(contents, Mfn(mfn), 0, "x");
  contents.Drop({Mfn(10), PageCount(10)});
  EXPECT_NE(contents.Find(Mfn(9)), nullptr);
  EXPECT_EQ(contents.Find(Mfn(10)), nullptr);
  EXPECT_EQ(contents.Find(Mfn(11)), nullptr);
  EXPECT_EQ(contents.Find(Mfn(19)), nullptr);
  EXPECT_NE(contents.Find(Mfn(20)), nullptr);
  contents.Drop({Mfn(9), PageCount(0)});
  EXPECT_EQ(contents.size(), 2u);
}

TEST(PageContentsTest, FrameWrittenAgainAfterDropHoldsNothingOld) {
  PageContents contents(std::make_shared<PageStore>());
  Write(contents, Mfn(7), 0, std::string(kPageSize, 's'));
  contents.Drop({Mfn(7), PageCount(1)});
  Write(contents, Mfn(7), 4095, "n");
  std::string expected(kPageSize, '\0');
  expected.back() = 'n';
  EXPECT_EQ(ReadAll(contents, Mfn(7)), expected);
}

TEST(PageContentsTest, RandomCallsMatchAModelOfWholeFrames) {
  for (uint64_t seed : TestSeeds(4)) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    std::mt19937_64 random(seed);
    std::map<uint64_t, std::string> model;
    PageContents contents(std::make_shared<PageStore>());
    for (int step = 0; step < 2000; ++step) {
      const uint64_t mfn = random() % 24;
      if (random() % 8 == 0) {
        const uint64_t count = random() % 6;
        contents.Drop({Mfn(mfn), PageCount(count)});
        model.erase(model.lower_bound(mfn), model.lower_bound(mfn + count));
      } else {
        const uint64_t offset = random() % kPageSize;
        const uint64_t size = random() % (kPageSize - offset + 1);
        const std::string data(size, static_cast<char>(random() % 3));
        Write(contents, Mfn(mfn), offset, data);
        auto& page = model.try_emplace(mfn, kPageSize, '\0').first->second;
        page.replace(offset, size, data);
      }
      const auto it = model.find(mfn);
      ASSERT_EQ(ReadAll(contents, Mfn(mfn)),
                it == model.end() ? std::string(kPageSize, '\0') : it->second);
      ASSERT_LE(contents.size(), model.size());
    }
  }
}

}  // namespace
}  // namespace simvisor
