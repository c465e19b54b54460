#include "domain/frames/frame_table.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/frames/test_frames.h"
#include "tests/support/extents.h"
#include "tests/support/random_seed.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

void PrintTo(const FrameRun& run, std::ostream* os) {
  *os << "[" << std::hex << run.frames.first.value() << "+"
      << run.frames.count.value() << "] state " << static_cast<int>(run.state)
      << " of " << run.owner.value() << " at " << run.first_pfn.value();
}

namespace {

using testing::ElementsAre;

constexpr uint64_t kLeaf = 512;

FrameRun Free(uint64_t first, uint64_t end) {
  return {Frames(first, end), FrameState::kFree, DomainId(), Pfn::None()};
}
FrameRun Reserved(uint64_t first, uint64_t end) {
  return {Frames(first, end), FrameState::kReserved, DomainId(), Pfn::None()};
}
FrameRun NotRam(uint64_t first, uint64_t end) {
  return {Frames(first, end), FrameState::kNotRam, DomainId(), Pfn::None()};
}
FrameRun Owned(uint64_t first, uint64_t end, DomainId owner, Pfn pfn) {
  return {Frames(first, end), FrameState::kOwned, owner, pfn};
}

FrameTable MakeTable(const std::vector<MfnExtent>& ram, uint64_t reserved = 0) {
  auto table = FrameTable::Create(ram, Mfn(reserved));
  EXPECT_THAT(table, IsOk());
  return *std::move(table);
}

std::vector<FrameRun> Runs(const FrameTable& table) {
  std::vector<FrameRun> runs;
  for (Mfn at(0); at < table.max_mfn(); at = runs.back().frames.end()) {
    runs.push_back(table.RunAt(at, table.max_mfn()));
  }
  return runs;
}

TEST(FrameTableTest, FreshMachineIsFreeApartFromHolesAndReservedFrames) {
  const FrameTable table =
      MakeTable({Frames(0, 0x9f), Frames(0x100, 0x5001)}, 0x10);
  EXPECT_EQ(table.max_mfn(), Mfn(0x5001));
  EXPECT_THAT(Runs(table),
              ElementsAre(Reserved(0, 0x10), Free(0x10, 0x9f),
                          NotRam(0x9f, 0x100), Free(0x100, 0x5001)));
  EXPECT_EQ(table.counts(),
            (FrameTable::Counts{PageCount(0x4fa0), PageCount(0x4f90),
                                PageCount(0), PageCount(0x10)}));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

TEST(FrameTableTest, ReservedFramesMayCoverAHoleAndWholeExtents) {
  const FrameTable table =
      MakeTable({Frames(0, 10), Frames(20, 30), Frames(30, 40)}, 35);
  EXPECT_THAT(Runs(table), ElementsAre(Reserved(0, 10), NotRam(10, 20),
                                       Reserved(20, 35), Free(35, 40)));
  EXPECT_EQ(table.counts().reserved, PageCount(25));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

TEST(FrameTableTest, ExtentAtConsecutivePfnsIsOneRunOverManyBlocks) {
  FrameTable table = MakeTable({Frames(0, 8 * kBlock)});
  table.Take(Frames(5, 7 * kBlock + 3), kAlice, Pfn(1000));
  EXPECT_THAT(
      Runs(table),
      ElementsAre(Free(0, 5), Owned(5, 7 * kBlock + 3, kAlice, Pfn(1000)),
                  Free(7 * kBlock + 3, 8 * kBlock)));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

TEST(FrameTableTest, FreedPartsGrowTogetherAgain) {
  FrameTable table = MakeTable({Frames(0, 2 * kBlock)});
  table.Take(Frames(0, 2 * kBlock), kAlice, Pfn(0));
  table.Free(Frames(kBlock - 7, kBlock + 7));
  table.Free(Frames(kBlock + 7, 2 * kBlock));
  table.Free(Frames(1, kBlock - 7));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
  table.Free(Frames(0, 1));
  EXPECT_THAT(Runs(table), ElementsAre(Free(0, 2 * kBlock)));
  EXPECT_EQ(table.FindFree(Mfn(0), PageCount(2 * kBlock)),
            Frames(0, 2 * kBlock));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

TEST(FrameTableTest, FindFreeSkipsTakenBlocksLeavesAndFrames) {
  FrameTable table = MakeTable({Frames(0, 4 * kBlock)});
  const uint64_t hole = 2 * kBlock + 3 * kLeaf + 17;
  table.Take(Frames(0, hole), kAlice, Pfn(0));
  table.Take(Frames(hole + 2, 4 * kBlock), kAlice, Pfn(hole + 2));
  for (uint64_t from : {uint64_t{0}, kBlock, 2 * kBlock, hole - 1, hole}) {
    EXPECT_EQ(table.FindFree(Mfn(from), PageCount(100)), Frames(hole, hole + 2))
        << from;
  }
  EXPECT_EQ(table.FindFree(Mfn(hole + 1), PageCount(100)),
            Frames(hole + 1, hole + 2));
  EXPECT_EQ(table.FindFree(Mfn(0), PageCount(1)), Frames(hole, hole + 1));
  EXPECT_TRUE(table.FindFree(Mfn(hole + 2), PageCount(1)).empty());
}

TEST(FrameTableTest, FindFreeGoesOnOverBlockAndLeafEnds) {
  FrameTable table = MakeTable({Frames(0, 3 * kBlock)});
  table.Take(Frames(0, kBlock - kLeaf - 9), kAlice, Pfn(0));
  table.Take(Frames(2 * kBlock + kLeaf + 9, 3 * kBlock), kAlice, Pfn(1 << 20));
  EXPECT_EQ(table.FindFree(Mfn(0), PageCount(3 * kBlock)),
            Frames(kBlock - kLeaf - 9, 2 * kBlock + kLeaf + 9));
  EXPECT_EQ(table.FindFree(Mfn(0), PageCount(kLeaf)),
            Frames(kBlock - kLeaf - 9, kBlock - 9));
}

TEST(FrameTableTest, FindFreeEndsWithTheMachine) {
  FrameTable table = MakeTable({Frames(0, 100)});
  EXPECT_EQ(table.FindFree(Mfn(90), PageCount(~uint64_t{0})), Frames(90, 100));
  EXPECT_TRUE(table.FindFree(Mfn(100), PageCount(1)).empty());
  table.Take(Frames(0, 100), kAlice, Pfn(0));
  EXPECT_TRUE(table.FindFree(Mfn(0), PageCount(1)).empty());
  table.Free(Frames(3, 4));
  EXPECT_EQ(table.FindFree(Mfn(0), PageCount(9)), Frames(3, 4));
}

TEST(FrameTableTest, NeighboursOfDifferentKindsAreNeverOneRun) {
  FrameTable table = MakeTable({Frames(0, 64)});
  table.Take(Frames(0, 1), kAlice, Pfn(0));
  table.SetPfns(Frames(0, 1), Pfn::None());
  table.Take(Frames(1, 3), kBob, Pfn(0));  // ends where Alice's ids would go on
  table.Take(Frames(3, 4), kBob, FrameTable::kEndPfn - PageCount(1));
  table.Take(Frames(4, 5), kBob, Pfn(9));
  table.SetPfns(Frames(4, 5), Pfn::None());
  EXPECT_THAT(
      Runs(table),
      ElementsAre(Owned(0, 1, kAlice, Pfn::None()), Owned(1, 3, kBob, Pfn(0)),
                  Owned(3, 4, kBob, FrameTable::kEndPfn - PageCount(1)),
                  Owned(4, 5, kBob, Pfn::None()), Free(5, 64)));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

TEST(FrameTableTest, FramesThatShareAPfnAreSeparateRuns) {
  FrameTable table = MakeTable({Frames(0, 8)});
  table.Take(Frames(0, 1), kAlice, Pfn(5));
  table.Take(Frames(1, 2), kAlice, Pfn(5));
  table.Take(Frames(2, 4), kAlice, Pfn(5));
  EXPECT_THAT(
      Runs(table),
      ElementsAre(Owned(0, 1, kAlice, Pfn(5)), Owned(1, 2, kAlice, Pfn(5)),
                  Owned(2, 4, kAlice, Pfn(5)), Free(4, 8)));
}

TEST(FrameTableTest, HighestDomainIdIsAnOwnerLikeOthers) {
  FrameTable table = MakeTable({Frames(0, 8)}, 1);
  const DomainId last(kFirstReservedDomainId - 1);
  table.Take(Frames(1, 3), kDom0Id, Pfn(0));
  table.Take(Frames(3, 8), last, Pfn(7));
  EXPECT_THAT(Runs(table),
              ElementsAre(Reserved(0, 1), Owned(1, 3, kDom0Id, Pfn(0)),
                          Owned(3, 8, last, Pfn(7))));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

TEST(FrameTableTest, SetPfnsKeepsEachOwner) {
  FrameTable table = MakeTable({Frames(0, 2 * kBlock)});
  table.Take(Frames(0, kBlock + 10), kAlice, Pfn(0));
  table.Take(Frames(kBlock + 10, kBlock + 20), kBob, Pfn(0));
  table.SetPfns(Frames(100, kBlock + 15), Pfn(7000));
  table.SetPfns(Frames(kBlock + 5, kBlock + 12), Pfn::None());
  EXPECT_THAT(Runs(table),
              ElementsAre(Owned(0, 100, kAlice, Pfn(0)),
                          Owned(100, kBlock + 5, kAlice, Pfn(7000)),
                          Owned(kBlock + 5, kBlock + 10, kAlice, Pfn::None()),
                          Owned(kBlock + 10, kBlock + 12, kBob, Pfn::None()),
                          Owned(kBlock + 12, kBlock + 15, kBob,
                                Pfn(7000 + kBlock + 12 - 100)),
                          Owned(kBlock + 15, kBlock + 20, kBob, Pfn(5)),
                          Free(kBlock + 20, 2 * kBlock)));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

TEST(FrameTableTest, MachineOf16TiBIsTakenAndFreedByBlocks) {
  const uint64_t all = 16 * 1024 * kBlock;
  FrameTable table = MakeTable({Frames(0, all)});
  for (int i = 0; i < 10; ++i) {
    const MfnExtent frames = table.FindFree(Mfn(0), PageCount(all - 1));
    ASSERT_EQ(frames, Frames(0, all - 1));
    table.Take(frames, kAlice, Pfn(0));
    ASSERT_EQ(table.FindFree(Mfn(0), PageCount(9)), Frames(all - 1, all));
    table.Free(frames);
  }
  EXPECT_THAT(Runs(table), ElementsAre(Free(0, all)));
  EXPECT_THAT(table.CheckInvariants(), IsOk());
}

// A table as a map of pieces keyed by first frame; pieces are cut at will and
// joined only when they are listed.
class TableModel {
 public:
  struct Piece {
    uint64_t count;
    FrameState state;
    DomainId owner;
    Pfn pfn;
  };

  explicit TableModel(const std::vector<FrameRun>& runs) {
    for (const FrameRun& run : runs) {
      pieces_[run.frames.first.value()] = {run.frames.count.value(), run.state,
                                           run.owner, run.first_pfn};
    }
  }

  void Set(MfnExtent frames, FrameState state, DomainId owner, Pfn pfn) {
    const uint64_t first = frames.first.value();
    const uint64_t end = frames.end().value();
    Cut(first);
    Cut(end);
    pieces_.erase(pieces_.lower_bound(first), pieces_.lower_bound(end));
    pieces_[first] = {frames.count.value(), state, owner, pfn};
  }

  // The first extent in `state` that begins at or after `from`, cut at `most`.
  std::optional<MfnExtent> Find(FrameState state, uint64_t from,
                                uint64_t most) const {
    for (const FrameRun& run : Merged(state)) {
      if (run.frames.end().value() <= from) continue;
      const Mfn first = std::max(run.frames.first, Mfn(from));
      return MfnExtent{first,
                       std::min(run.frames.end() - first, PageCount(most))};
    }
    return std::nullopt;
  }

  // The owner's parts of `frames`.
  void SetPfns(MfnExtent frames, Pfn pfn) {
    Cut(frames.first.value());
    Cut(frames.end().value());
    for (auto it = pieces_.lower_bound(frames.first.value());
         it != pieces_.end() && it->first < frames.end().value(); ++it) {
      it->second.pfn =
          pfn.is_none() ? pfn : pfn + (Mfn(it->first) - frames.first);
    }
  }

  std::vector<FrameRun> Runs() const {
    std::vector<FrameRun> runs;
    for (const auto& [first, piece] : pieces_) {
      const FrameRun next = {Frames(first, first + piece.count), piece.state,
                             piece.owner, piece.pfn};
      if (!runs.empty() && Continues(runs.back(), next)) {
        runs.back().frames.count += next.frames.count;
      } else {
        runs.push_back(next);
      }
    }
    return runs;
  }

 private:
  static bool Continues(const FrameRun& a, const FrameRun& b) {
    if (a.state != b.state || a.owner != b.owner) return false;
    if (a.first_pfn.is_none()) return b.first_pfn.is_none();
    return b.first_pfn == a.first_pfn + a.frames.count;
  }

  void Cut(uint64_t at) {
    auto it = pieces_.upper_bound(at);
    if (it == pieces_.begin()) return;
    --it;
    const uint64_t before = at - it->first;
    if (before == 0 || before >= it->second.count) return;
    Piece rest = it->second;
    rest.count -= before;
    if (!rest.pfn.is_none()) rest.pfn += PageCount(before);
    it->second.count = before;
    pieces_[at] = rest;
  }

  // Extents in `state`, of any owner.
  std::vector<FrameRun> Merged(FrameState state) const {
    std::vector<FrameRun> merged;
    for (const auto& [first, piece] : pieces_) {
      if (piece.state != state) continue;
      if (!merged.empty() && merged.back().frames.end() == Mfn(first)) {
        merged.back().frames.count += PageCount(piece.count);
      } else {
        merged.push_back({Frames(first, first + piece.count), state, DomainId(),
                          Pfn::None()});
      }
    }
    return merged;
  }

  std::map<uint64_t, Piece> pieces_;
};

class FrameTableRandomTest : public testing::Test {
 protected:
  void Run(uint64_t seed, int steps) {
    std::mt19937_64 random(seed);
    const uint64_t end = 4 * kBlock + 77;
    FrameTable table =
        MakeTable({Frames(3, 0x9f), Frames(0x100, 2 * kBlock - 300),
                   Frames(2 * kBlock + 1000, end)},
                  0x20);
    TableModel model(Runs(table));
    for (int step = 0; step < steps; ++step) {
      SCOPED_TRACE(testing::Message()
                   << "SIMVISOR_SEED=" << seed << " step " << step);
      // Small and large extents alike, and often at the ends of leaves.
      const uint64_t most = 1 + random() % (uint64_t{1} << random() % 21);
      uint64_t from = random() % end;
      if (random() % 3 == 0) from = std::min(from / kLeaf * kLeaf, end - 1);
      const DomainId owner(static_cast<uint16_t>(random() % 3));
      const Pfn pfn(random() % (uint64_t{1} << 40));
      switch (random() % 4) {
        case 0:
        case 1:
          Take(table, model, random() % 2 == 0 ? 0 : from, most, owner, pfn);
          break;
        case 2:
          if (const auto found = model.Find(FrameState::kOwned, from, most)) {
            table.Free(*found);
            model.Set(*found, FrameState::kFree, DomainId(), Pfn::None());
          }
          break;
        case 3:
          if (const auto found = model.Find(FrameState::kOwned, from, most)) {
            const Pfn to = random() % 3 == 0 ? Pfn::None() : pfn;
            table.SetPfns(*found, to);
            model.SetPfns(*found, to);
          }
          break;
      }
      ASSERT_EQ(Runs(table), model.Runs());
      ASSERT_THAT(table.CheckInvariants(), IsOk());
      if (HasFatalFailure()) return;
    }
  }

  static void Take(FrameTable& table, TableModel& model, uint64_t from,
                   uint64_t most, DomainId owner, Pfn pfn) {
    const MfnExtent found = table.FindFree(Mfn(from), PageCount(most));
    const auto expected = model.Find(FrameState::kFree, from, most);
    ASSERT_EQ(found.empty(), !expected.has_value());
    if (found.empty()) return;
    ASSERT_EQ(found, *expected);
    table.Take(found, owner, pfn);
    model.Set(found, FrameState::kOwned, owner, pfn);
  }
};

TEST_F(FrameTableRandomTest, CallsMatchAModelOfPieces) {
  for (uint64_t seed : TestSeeds(6)) {
    Run(seed, 400);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace simvisor
