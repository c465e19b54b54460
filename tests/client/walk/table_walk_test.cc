// The walk of a p2m list through page tables: every check of Xen's saver, each
// with tables that fail only that check.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/walk/frame_reader.h"
#include "client/walk/p2m_walk.h"
#include "tests/client/walk/expect_fault.h"

namespace simvisor::client {
namespace {

constexpr uint64_t kFirstMfn = 0x1000;
constexpr uint64_t kMaxMfn = 0x100000;
constexpr uint64_t kFlags = 0x67;

// A guest of 4 PTE pages of leaves, with RAM at frames kFirstMfn + pfn.  Its
// pages are, from pfn 0 on: leaves, PTE pages, one table per upper level from
// level 2 up.  Leaves past the first PTE page are one shared page of all ones.
class FakeTables : public FrameReader {
 public:
  explicit FakeTables(uint32_t word_bytes)
      : word_bytes_(word_bytes),
        fpp_(kFrameBytes / word_bytes),
        levels_(word_bytes == 8 ? 4 : 3),
        vaddr_(word_bytes == 8 ? 0xffffc90000000000 : 0xc0000000) {
    for (uint64_t leaf = 0; leaf < 512; ++leaf) {
      for (uint64_t i = 0; i < fpp_; ++i) {
        SetWord(leaf, i, kFirstMfn + leaf * fpp_ + i);
      }
      m2p_[kFirstMfn + leaf] = leaf;
      SetEntry(PteMfn(0), leaf, kFirstMfn + leaf);
    }
    m2p_[SharedLeafMfn()] = SharedLeafMfn() - kFirstMfn;
    for (uint64_t i = 0; i < fpp_; ++i) Store(SharedLeafMfn(), i, ~0ull);
    for (uint64_t i = 0; i < 512; ++i) SetEntry(PteMfn(1), i, SharedLeafMfn());
    SetEntry(TableMfn(2), 0, PteMfn(0));
    for (uint64_t i = 1; i < 4; ++i) SetEntry(TableMfn(2), i, PteMfn(1));
    for (int level = 3; level <= levels_; ++level) {
      SetEntry(TableMfn(level), Index(level), TableMfn(level - 1));
    }
  }

  uint64_t PteMfn(uint64_t i) const { return kFirstMfn + 512 + i; }
  uint64_t TableMfn(int level) const { return kFirstMfn + 512 + 2 + level; }
  uint64_t SharedLeafMfn() const { return kFirstMfn + 600; }
  uint64_t Index(int level) const {
    return (vaddr_ >> (12 + 9 * (level - 1))) % 512;
  }

  void SetWord(uint64_t leaf, uint64_t index, uint64_t word) {
    Store(kFirstMfn + leaf, index, word);
  }
  void SetEntry(uint64_t table, uint64_t index, uint64_t mfn) {
    std::string& page = pages_[table];
    page.resize(kFrameBytes);
    const uint64_t pte = mfn << 12 | kFlags | uint64_t{1} << 63;
    for (int i = 0; i < 8; ++i) {
      page[index * 8 + i] = static_cast<char>(pte >> (8 * i));
    }
  }
  void SetM2p(uint64_t mfn, std::optional<uint64_t> pfn) { m2p_[mfn] = pfn; }

  P2mRoot Root() const {
    return {.root_mfn = ~0ull,
            .p2m_cr3 = TableMfn(levels_) << 12,
            .p2m_vaddr = vaddr_,
            .max_pfn = 4 * 512 * fpp_,
            .max_mfn = kMaxMfn,
            .words_per_page = static_cast<uint32_t>(fpp_),
            .word_bytes = word_bytes_};
  }

  absl::StatusOr<std::vector<std::string>> ReadFrames(
      absl::Span<const uint64_t> mfns) override {
    std::vector<std::string> contents;
    for (const uint64_t mfn : mfns) {
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
  const int levels_;
  const uint64_t vaddr_;
  std::map<uint64_t, std::string> pages_;
  std::map<uint64_t, std::optional<uint64_t>> m2p_;
};

absl::StatusOr<P2mWalk> Walk(FakeTables& guest, const P2mRoot& root) {
  return WalkP2m(root, guest, [](uint64_t, uint64_t) {});
}

TEST(TableWalkTest, ListIsCountedAndItsEqualTailDropped) {
  for (const uint32_t word_bytes : {8u, 4u}) {
    SCOPED_TRACE(word_bytes);
    FakeTables guest(word_bytes);
    const auto walk = Walk(guest, guest.Root());
    ASSERT_TRUE(walk.ok()) << walk.status();
    const uint64_t fpp = kFrameBytes / word_bytes;
    EXPECT_EQ(walk->max_pfn, 4 * 512 * fpp - 1);
    EXPECT_EQ(walk->trimmed_max_pfn, 512 * fpp - 1);
    EXPECT_EQ(walk->words.ram, 512 * fpp);
    EXPECT_EQ(walk->leaf_entries, 512u);
    // One table at each upper level, and the PTE page that was not trimmed.
    EXPECT_EQ(walk->table_pages, word_bytes == 8 ? 4u : 3u);
  }
}

TEST(TableWalkTest, DistinctTailStays) {
  FakeTables guest(8);
  guest.SetEntry(guest.TableMfn(2), 3, guest.PteMfn(0));
  const auto walk = Walk(guest, guest.Root());
  ASSERT_TRUE(walk.ok()) << walk.status();
  EXPECT_EQ(walk->trimmed_max_pfn, walk->max_pfn);
  EXPECT_EQ(walk->words.missing, 2 * 512 * 512u);
  EXPECT_EQ(walk->words.ram, 2 * 512 * 512u);
}

TEST(TableWalkTest, UnalignedListLosesItsTailAsInXen) {
  FakeTables guest(8);
  P2mRoot root = guest.Root();
  // The list begins at the second entry of level 2, whose index Xen mixes up.
  guest.SetEntry(guest.TableMfn(2), 1, guest.PteMfn(0));
  root.p2m_vaddr += uint64_t{2} << 20;
  root.max_pfn = 512 * 512 * 2;
  const auto walk = Walk(guest, root);
  ASSERT_TRUE(walk.ok()) << walk.status();
  EXPECT_EQ(walk->max_pfn, 512 * 512 * 2 - 1u);
  EXPECT_EQ(walk->trimmed_max_pfn, 512 * 512 - 1u);
}

TEST(TableWalkTest, RootPastTheMachine) {
  FakeTables guest(8);
  P2mRoot root = guest.Root();
  root.p2m_cr3 = (kMaxMfn + 1) << 12;
  ExpectFault(Walk(guest, root), {"bad p2m_cr3 0x100001000"});
}

TEST(TableWalkTest, PaeRootAbove4GiBIsFoldedIntoCr3) {
  FakeTables guest(4);
  P2mRoot root = guest.Root();
  // Frame 0x301000 >> 20 = 3 goes to the low bits.
  const uint64_t frame = 0x100000 + guest.TableMfn(3);
  for (uint64_t i = 3; i < 4; ++i) guest.SetEntry(frame, i, guest.TableMfn(2));
  root.p2m_cr3 = ((frame << 12) & 0xffffffff) | frame >> 20;
  root.max_mfn = 0x400000;
  ASSERT_TRUE(Walk(guest, root).ok()) << Walk(guest, root).status();
}

TEST(TableWalkTest, AddressesThatTouchXenOrWrap) {
  FakeTables wide(8);
  for (const uint64_t vaddr :
       {uint64_t{0x0000800000000000}, uint64_t{0xffff87ffffffe000},
        ~uint64_t{0xfff}}) {
    P2mRoot root = wide.Root();
    root.p2m_vaddr = vaddr;
    ExpectFault(Walk(wide, root), {"bad virtual p2m address range"});
  }
  FakeTables narrow(4);
  P2mRoot root = narrow.Root();
  root.p2m_vaddr = 0xf5200000;
  ExpectFault(Walk(narrow, root), {"bad virtual p2m address range"});
}

TEST(TableWalkTest, BadEntryAtEachLevel) {
  for (int level = 1; level <= 4; ++level) {
    SCOPED_TRACE(level);
    FakeTables guest(8);
    const uint64_t table = level == 1 ? guest.PteMfn(0) : guest.TableMfn(level);
    guest.SetEntry(table, guest.Index(level), 0);
    ExpectFault(Walk(guest, guest.Root()),
                {"bad mfn 0x0 during page table walk",
                 absl::StrCat("at level ", level)});
  }
}

TEST(TableWalkTest, LeafWhoseM2pEntryDisagrees) {
  FakeTables guest(8);
  guest.SetM2p(kFirstMfn + 7, std::nullopt);
  ExpectFault(Walk(guest, guest.Root()),
              {"bad mfn 0x1007 in p2m_frame_list[7]"});
  guest.SetM2p(kFirstMfn + 7, 8);
  ExpectFault(Walk(guest, guest.Root()), {"p2m[0x8] is 0x1008"});
}

}  // namespace
}  // namespace simvisor::client
