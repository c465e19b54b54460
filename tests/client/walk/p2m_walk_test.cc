// The walk of a frame-list tree: every check of Xen's saver, each with a tree
// that fails only that check.

#include "client/walk/p2m_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/walk/frame_reader.h"
#include "tests/client/walk/expect_fault.h"

namespace simvisor::client {
namespace {

// A guest of `pfns` RAM pages at frames kFirstMfn + pfn, whose own first pages
// hold the p2m list and its tree.  Tests change words and m2p entries before
// they walk.
class FakeGuest : public FrameReader {
 public:
  static constexpr uint64_t kFirstMfn = 0x1000;
  static constexpr uint64_t kMaxMfn = 0x100000;

  FakeGuest(uint64_t pfns, uint32_t word_bytes)
      : word_bytes_(word_bytes), fpp_(kFrameBytes / word_bytes), pfns_(pfns) {
    const uint64_t leaves = (pfns + fpp_ - 1) / fpp_;
    const uint64_t mids = (leaves + fpp_ - 1) / fpp_;
    for (uint64_t pfn = 0; pfn < pfns; ++pfn) SetWord(pfn, kFirstMfn + pfn);
    for (uint64_t i = 0; i < leaves; ++i) SetListEntry(i, LeafMfn(i));
    for (uint64_t i = 0; i < mids; ++i) SetTopEntry(i, MidMfn(i));
    for (uint64_t i = 0; i < leaves; ++i) m2p_[LeafMfn(i)] = LeafPfn(i);
  }

  // The guest's pages: leaves from pfn 0 on, mids and top at the end.
  uint64_t LeafPfn(uint64_t i) const { return i; }
  uint64_t LeafMfn(uint64_t i) const { return kFirstMfn + LeafPfn(i); }
  uint64_t MidMfn(uint64_t i) const { return kFirstMfn + pfns_ - 2 - i; }
  uint64_t TopMfn() const { return kFirstMfn + pfns_ - 1; }

  void SetWord(uint64_t pfn, uint64_t word) {
    Store(LeafMfn(pfn / fpp_), pfn % fpp_, word);
  }
  void SetListEntry(uint64_t leaf, uint64_t mfn) {
    Store(MidMfn(leaf / fpp_), leaf % fpp_, mfn);
  }
  void SetTopEntry(uint64_t mid, uint64_t mfn) { Store(TopMfn(), mid, mfn); }
  void SetM2p(uint64_t mfn, std::optional<uint64_t> pfn) { m2p_[mfn] = pfn; }
  void FillPage(uint64_t mfn, uint64_t word) {
    for (uint64_t i = 0; i < fpp_; ++i) Store(mfn, i, word);
  }

  P2mRoot Root() const {
    return {.root_mfn = TopMfn(),
            .max_pfn = pfns_,
            .max_mfn = kMaxMfn,
            .words_per_page = static_cast<uint32_t>(fpp_),
            .word_bytes = word_bytes_};
  }

  absl::StatusOr<std::vector<std::string>> ReadFrames(
      absl::Span<const uint64_t> mfns) override {
    std::vector<std::string> contents;
    for (const uint64_t mfn : mfns) {
      ++reads_[mfn];
      contents.push_back(pages_[mfn]);
      contents.back().resize(kFrameBytes);
    }
    return contents;
  }

  absl::StatusOr<std::vector<std::optional<uint64_t>>> LookupPfns(
      absl::Span<const uint64_t> mfns) override {
    std::vector<std::optional<uint64_t>> pfns;
    for (const uint64_t mfn : mfns) pfns.push_back(m2p_[mfn]);
    return pfns;
  }

  int reads(uint64_t mfn) { return reads_[mfn]; }

 private:
  void Store(uint64_t mfn, uint64_t index, uint64_t word) {
    std::string& page = pages_[mfn];
    page.resize(kFrameBytes);
    for (uint32_t i = 0; i < word_bytes_; ++i) {
      page[index * word_bytes_ + i] = static_cast<char>(word >> (8 * i));
    }
  }

  const uint32_t word_bytes_;
  const uint64_t fpp_;
  const uint64_t pfns_;
  std::map<uint64_t, std::string> pages_;
  std::map<uint64_t, std::optional<uint64_t>> m2p_;
  std::map<uint64_t, int> reads_;
};

absl::StatusOr<P2mWalk> Walk(FakeGuest& guest, const P2mRoot& root) {
  return WalkP2m(root, guest, [](uint64_t, uint64_t) {});
}

absl::StatusOr<P2mWalk> Walk(FakeGuest& guest) {
  return Walk(guest, guest.Root());
}

TEST(P2mWalkTest, SoundTreeIsCountedWordByWord) {
  FakeGuest guest(1200, 8);
  guest.SetWord(700, UINT64_MAX);
  guest.SetWord(701, 701 | uint64_t{1} << 62);
  guest.SetWord(702, 0x777 | uint64_t{1} << 63);
  guest.SetWord(703, FakeGuest::kMaxMfn + 1);
  const auto walk = Walk(guest);
  ASSERT_TRUE(walk.ok()) << walk.status();
  EXPECT_EQ(walk->max_pfn, 1199u);
  EXPECT_EQ(walk->trimmed_max_pfn, 1199u);
  EXPECT_EQ(walk->top_entries, 1u);
  EXPECT_EQ(walk->mid_pages, 1u);
  EXPECT_EQ(walk->leaf_entries, 3u);
  EXPECT_EQ(walk->leaf_pages, 3u);
  EXPECT_EQ(walk->frames_read, 5u);
  EXPECT_EQ(walk->words.ram, 1196u);
  EXPECT_EQ(walk->words.missing, 1u);
  EXPECT_EQ(walk->words.identity, 1u);
  EXPECT_EQ(walk->words.foreign, 1u);
  EXPECT_EQ(walk->words.abnormal, 1u);
}

TEST(P2mWalkTest, NarrowWordsHaveTheirFlagsBelowBit32) {
  FakeGuest guest(3000, 4);
  guest.SetWord(2000, UINT32_MAX);
  guest.SetWord(2001, 2001 | uint64_t{1} << 30);
  guest.SetWord(2002, 0x777 | uint64_t{1} << 31);
  const auto walk = Walk(guest);
  ASSERT_TRUE(walk.ok()) << walk.status();
  EXPECT_EQ(walk->leaf_entries, 3u);
  EXPECT_EQ(walk->words.ram, 2997u);
  EXPECT_EQ(walk->words.missing, 1u);
  EXPECT_EQ(walk->words.identity, 1u);
  EXPECT_EQ(walk->words.foreign, 1u);
}

TEST(P2mWalkTest, SharedLeafIsReadOnceAndCountedForEachUse) {
  FakeGuest guest(4 * 512, 8);
  // Leaves 1 to 3 are the same all-missing page, in the frame of pfn 1.
  const uint64_t shared = guest.LeafMfn(1);
  guest.FillPage(shared, UINT64_MAX);
  for (const uint64_t leaf : {2, 3}) guest.SetListEntry(leaf, shared);
  const auto walk = Walk(guest);
  ASSERT_TRUE(walk.ok()) << walk.status();
  EXPECT_EQ(walk->leaf_entries, 4u);
  EXPECT_EQ(walk->leaf_pages, 2u);
  EXPECT_EQ(guest.reads(shared), 1);
  EXPECT_EQ(walk->words.ram, 512u);
  EXPECT_EQ(walk->words.missing, 3 * 512u);
}

TEST(P2mWalkTest, WordsPastMaxPfnInASharedLastLeafAreNotCounted) {
  FakeGuest guest(3 * 512 - 100, 8);
  const uint64_t shared = guest.LeafMfn(1);
  guest.FillPage(shared, UINT64_MAX);
  guest.SetListEntry(2, shared);
  const auto walk = Walk(guest);
  ASSERT_TRUE(walk.ok()) << walk.status();
  EXPECT_EQ(walk->words.missing, 512u + 412u);
  EXPECT_EQ(walk->words.total(), 3 * 512u - 100u);
}

TEST(P2mWalkTest, TrailingEqualMidsAreTrimmed) {
  constexpr uint64_t kPfnsOfMid = 512 * 512;
  FakeGuest guest(1200, 8);
  P2mRoot root = guest.Root();
  root.max_pfn = 3 * kPfnsOfMid;
  // The first mid lists the guest's leaves, and then the shared missing leaf.
  const uint64_t missing = 0x900;
  guest.FillPage(missing, UINT64_MAX);
  guest.SetM2p(missing, 1199);
  guest.SetWord(1199, missing);
  for (uint64_t leaf = 3; leaf < 512; ++leaf) {
    guest.SetListEntry(leaf, missing);
  }
  const uint64_t missing_mid = 0x901;
  guest.FillPage(missing_mid, missing);
  guest.SetTopEntry(1, missing_mid);
  guest.SetTopEntry(2, missing_mid);
  const auto walk = Walk(guest, root);
  ASSERT_TRUE(walk.ok()) << walk.status();
  EXPECT_EQ(walk->max_pfn, 3 * kPfnsOfMid - 1);
  // The run of equal entries begins at entry 1, so one of them stays.
  EXPECT_EQ(walk->trimmed_max_pfn, 2 * kPfnsOfMid - 1);
  EXPECT_EQ(walk->top_entries, 3u);
  EXPECT_EQ(walk->leaf_entries, 1024u);
  EXPECT_EQ(walk->words.total(), 2 * kPfnsOfMid);
}

TEST(P2mWalkTest, TrimNeverRaisesMaxPfn) {
  FakeGuest guest(1200, 8);
  const auto walk = Walk(guest);
  ASSERT_TRUE(walk.ok());
  EXPECT_EQ(walk->trimmed_max_pfn, 1199u);
}

TEST(P2mWalkTest, MaxPfnPastTheReachOfTheTreeIsRefused) {
  FakeGuest guest(1200, 8);
  P2mRoot root = guest.Root();
  root.max_pfn = (uint64_t{1} << 27) + 1;
  ExpectFault(Walk(guest, root),
              {"max_pfn 0x8000000", "too large for a p2m tree", "513"});
  root.max_pfn = UINT64_MAX;
  ExpectFault(Walk(guest, root), {"too large for a p2m tree"});
}

TEST(P2mWalkTest, GuestWithoutPfnsHasNotPublished) {
  FakeGuest guest(1200, 8);
  P2mRoot root = guest.Root();
  root.max_pfn = 0;
  ExpectFault(Walk(guest, root), {"max_pfn is 0"});
}

TEST(P2mWalkTest, RootThatIsNotAFrameIsRefused) {
  FakeGuest guest(1200, 8);
  P2mRoot root = guest.Root();
  for (const uint64_t mfn : {uint64_t{0}, FakeGuest::kMaxMfn + 1, UINT64_MAX}) {
    root.root_mfn = mfn;
    ExpectFault(Walk(guest, root), {"bad mfn", "root", "0x100000"});
  }
}

TEST(P2mWalkTest, FrameJustPastTheMachinePassesAsItDoesInXen) {
  FakeGuest guest(1200, 8);
  P2mRoot root = guest.Root();
  root.max_mfn = guest.TopMfn();
  EXPECT_TRUE(Walk(guest, root).ok());
  root.max_mfn = guest.TopMfn() - 1;
  ExpectFault(Walk(guest, root), {"bad mfn"});
}

TEST(P2mWalkTest, MidThatIsNotAFrameIsRefused) {
  for (const uint64_t mfn : {uint64_t{0}, FakeGuest::kMaxMfn + 1, UINT64_MAX}) {
    FakeGuest guest(1200, 8);
    guest.SetTopEntry(0, mfn);
    ExpectFault(Walk(guest), {"bad mfn", "p2m_frame_list_list[0]"});
  }
}

TEST(P2mWalkTest, NarrowMidOfAllOnesIsShownAs64Ones) {
  FakeGuest guest(3000, 4);
  guest.SetTopEntry(0, UINT32_MAX);
  ExpectFault(Walk(guest),
              {"bad mfn 0xffffffffffffffff", "p2m_frame_list_list[0]"});
}

TEST(P2mWalkTest, LeafThatIsNotAFrameIsRefused) {
  for (const uint64_t mfn : {uint64_t{0}, FakeGuest::kMaxMfn + 1, UINT64_MAX}) {
    FakeGuest guest(1200, 8);
    guest.SetListEntry(2, mfn);
    ExpectFault(Walk(guest), {"bad mfn", "p2m_frame_list[2]"});
  }
}

TEST(P2mWalkTest, LeafEntriesPastMaxPfnAreIgnored) {
  FakeGuest guest(1200, 8);
  guest.SetListEntry(3, 0);
  EXPECT_TRUE(Walk(guest).ok());
}

TEST(P2mWalkTest, LeafWithoutM2pEntryIsRefused) {
  FakeGuest guest(1200, 8);
  guest.SetM2p(guest.LeafMfn(1), std::nullopt);
  ExpectFault(Walk(guest), {"0x1001 in p2m_frame_list[1]",
                            "m2p entry is invalid", "max_pfn is 0x4af"});
}

TEST(P2mWalkTest, LeafWhoseM2pEntryIsPastMaxPfnIsRefused) {
  FakeGuest guest(1200, 8);
  guest.SetM2p(guest.LeafMfn(1), 1200);
  ExpectFault(Walk(guest),
              {"p2m_frame_list[1]", "m2p entry is 0x4b0", "max_pfn is 0x4af"});
}

TEST(P2mWalkTest, LeafThatTheListMapsElsewhereIsRefused) {
  FakeGuest guest(1200, 8);
  guest.SetWord(guest.LeafPfn(2), 0x555);
  ExpectFault(Walk(guest),
              {"0x1002 in p2m_frame_list[2]", "pfn 0x2", "p2m[0x2] is 0x555"});
}

TEST(P2mWalkTest, MidsAndTopNeedNoM2pEntry) {
  FakeGuest guest(1200, 8);
  guest.SetM2p(guest.MidMfn(0), std::nullopt);
  guest.SetM2p(guest.TopMfn(), std::nullopt);
  EXPECT_TRUE(Walk(guest).ok());
}

TEST(P2mWalkTest, WordsOfAnotherWidthAreRefused) {
  FakeGuest guest(1200, 8);
  P2mRoot root = guest.Root();
  root.word_bytes = 2;
  EXPECT_EQ(Walk(guest, root).status().code(),
            absl::StatusCode::kInvalidArgument);
  root.word_bytes = 8;
  root.words_per_page = 0;
  EXPECT_EQ(Walk(guest, root).status().code(),
            absl::StatusCode::kInvalidArgument);
}

class UnreadableReader : public FakeGuest {
 public:
  UnreadableReader() : FakeGuest(1200, 8) {}
  absl::StatusOr<std::vector<std::string>> ReadFrames(
      absl::Span<const uint64_t>) override {
    return absl::UnavailableError("gone");
  }
};

TEST(P2mWalkTest, ErrorOfTheReaderEndsTheWalk) {
  UnreadableReader guest;
  EXPECT_EQ(Walk(guest).status().code(), absl::StatusCode::kUnavailable);
}

TEST(P2mWalkTest, ProgressEndsAtTheNumberOfDistinctLeaves) {
  FakeGuest guest(1500 * 512, 8);
  std::vector<uint64_t> done;
  uint64_t total = 0;
  ASSERT_TRUE(WalkP2m(guest.Root(), guest, [&](uint64_t d, uint64_t t) {
                done.push_back(d);
                total = t;
              }).ok());
  EXPECT_EQ(total, 1500u);
  EXPECT_EQ(done.back(), 1500u);
  EXPECT_GT(done.size(), 2u);
}

}  // namespace
}  // namespace simvisor::client
