// Every allocation of every operation, made to fail in turn.
//
// Each test counts the allocations of its operation on one machine and then
// makes a fresh machine for each of them.  What must hold after a failure is
// stated per operation; that the audit finds nothing, that retrying without a
// failure succeeds, and that it then leaves the same machine as if nothing had
// failed, holds for all.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/host/fault_plan.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::IsEmpty;

// A pfn in a mid that is shared in a guest of GuestSpec(), for either ABI.
constexpr uint64_t kFarPfn = 2 * 1048576 + 5;

// Pages of the list that stay when allocation `number` of a set of one leaf
// fails (p2m.md A6).
struct Left {
  uint64_t pte, tree_mid;
};
Left LeftBySet(const Abi& abi, uint64_t number) {
  if (number <= abi.pmds_per_mid) return {0, 0};
  return {abi.pmds_per_mid, number == abi.pmds_per_mid + 1 ? 0u : 1u};
}

class HostFaultsTest : public testing::TestWithParam<Arch> {
 protected:
  const Abi& abi() const { return AbiOf(GetParam()); }
  Machine Guest() const { return MachineWithGuest(GetParam()); }

  // A guest with some frames that are in no word.
  Machine GuestWithKeptFrames() const {
    Machine machine = Guest();
    machine.kept = Mfn(WordOf(*machine.domain, 2700).Number());
    EXPECT_THAT(machine.domain->p2m().SetRange(
                    {"set p2m"}, {Pfn(2700), PageCount(8)}, P2mClass::kMissing,
                    Mfn(), RamPolicy::kKeep),
                IsOk());
    return machine;
  }
};

INSTANTIATE_TEST_SUITE_P(BothAbis, HostFaultsTest,
                         testing::Values(Arch::kX86_64, Arch::kX86_32Pae),
                         ArchName);

TEST(HostFaultsDom0Test, MachineThatCannotBootDom0IsNotThere) {
  FaultPlan faults;
  faults.Count();
  ASSERT_THAT(Host::Create(FaultyConfig(faults)), IsOk());
  const uint64_t allocations = faults.asked();
  // Three stretches of address space, one claim, and dom0's own pages.
  EXPECT_GT(allocations, 3 + 1 + 20);
  for (uint64_t number = 1; number <= allocations; ++number) {
    SCOPED_TRACE(absl::StrCat("allocation ", number));
    faults.FailAt(number, false);
    const auto host = Host::Create(FaultyConfig(faults));
    ASSERT_THAT(host, Exhausted(faults.reason()));
  }
}

// While a guest boots, it has no allocator that could fail softly.
TEST_P(HostFaultsTest, CreationThatFailsLeavesNothing) {
  Machine machine = MakeMachine();
  const std::vector<FrameRun> frames = FramesOf(*machine.host);
  machine.faults->Count();
  const auto created = MustCreate(*machine.host, GuestSpec(GetParam()));
  const uint64_t allocations = machine.faults->asked();
  const DomainPicture wanted = PictureOf(*created, RunMerge::kByClass);
  EXPECT_GT(allocations, 2 + 1 + 7);
  ASSERT_THAT(machine.host->DestroyDomain(created->id()), IsOk());
  for (uint64_t number = 1; number <= allocations; ++number) {
    SCOPED_TRACE(absl::StrCat("allocation ", number));
    machine.faults->FailAt(number, false);
    const auto failed =
        machine.host->CreateDomain(GuestSpec(GetParam()), false, NeverStop);
    EXPECT_THAT(failed, Exhausted(machine.faults->reason()));
    EXPECT_EQ(machine.host->List(DomainId(0), 10).size(), 1);
    EXPECT_TRUE(FramesOf(*machine.host) == frames);
    EXPECT_THAT(machine.host->Audit().findings, IsEmpty());
    machine.faults->Count();
    const auto retried = MustCreate(*machine.host, GuestSpec(GetParam()));
    EXPECT_TRUE(PictureOf(*retried, RunMerge::kByClass) == wanted);
    ASSERT_THAT(machine.host->DestroyDomain(retried->id()), IsOk());
    if (HasFailure()) return;
  }
}

TEST_P(HostFaultsTest, BootThatFailsLeavesTheDomainBuilt) {
  const FaultCase test = {
      [] { return MachineWithGuest(GetParam(), /*start_paused=*/true); },
      [](Machine& machine) {
        return machine.domain->Unpause({"unpause"}).status();
      },
      [](Machine& machine, const absl::Status& status, uint64_t,
         const DomainPicture& before) {
        ExpectUnchanged(machine, status, before);
      }};
  EXPECT_GT(FailEach(test), 7);
}

// The balloon driver starts when the guest has booted; it takes what it gets.
TEST_P(HostFaultsTest, DriverShortOfFramesDoesNotStopTheBoot) {
  Machine dry = MachineWithGuest(GetParam(), /*start_paused=*/true);
  dry.faults->Count();
  ASSERT_THAT(dry.domain->Unpause({"unpause"}), IsOk());
  const uint64_t boot = dry.faults->asked();
  for (const bool up : {false, true}) {
    const uint64_t target = up ? kGuestPages + 40 : kGuestPages - 40;
    const FaultCase test = {
        [&] {
          Machine machine = MachineWithGuest(GetParam(), true);
          EXPECT_THAT(machine.domain->balloon().SetTarget({"set memory target"},
                                                          PageCount(target)),
                      IsOk());
          return machine;
        },
        [&](Machine& machine) -> absl::Status {
          SIMVISOR_RETURN_IF_ERROR(
              machine.domain->Unpause({"unpause"}).status());
          // A running guest continues when its driver has slept.
          if (machine.faults->asked() > boot) return absl::OkStatus();
          return machine.domain->balloon().Wake(
              {"balloon timer"}, machine.domain->balloon().timer());
        },
        [&](Machine& machine, const absl::Status& status, uint64_t number,
            const DomainPicture& before) {
          if (number <= boot) {
            ExpectUnchanged(machine, status, before);
            return;
          }
          EXPECT_THAT(status, IsOk());
          const DomainMemory memory = machine.domain->Info().memory;
          EXPECT_EQ(machine.domain->Info().state, DomainState::kRunning);
          EXPECT_EQ(memory.target.value(), target);
        }};
    EXPECT_EQ(FailEach(test), boot + 40);
    if (HasFailure()) return;
  }
}

TEST_P(HostFaultsTest, SetThatFailsKeepsTheWordAndThePagesAboveIt) {
  const std::vector<std::pair<P2mClass, bool>> kinds = {
      {P2mClass::kMissing, false}, {P2mClass::kRam, true}};
  for (const auto& [p2m_class, kept] : kinds) {
    const FaultCase test = {
        [this] { return GuestWithKeptFrames(); },
        [p2m_class = p2m_class](Machine& machine) {
          return machine.domain->p2m()
              .SetRange({"set p2m"}, {Pfn(kFarPfn), PageCount(1)}, p2m_class,
                        machine.kept, RamPolicy::kRefuse)
              .status();
        },
        [this](Machine& machine, const absl::Status& status, uint64_t number,
               const DomainPicture& before) {
          EXPECT_THAT(status, Exhausted(Reason::kGuestMemoryExhausted));
          const DomainPicture now = PictureOf(*machine.domain);
          EXPECT_TRUE(now.SameExceptListPages(before)) << "a word has changed";
          const Left left = LeftBySet(abi(), number);
          EXPECT_EQ(now.pte_frames - before.pte_frames, left.pte);
          EXPECT_EQ(now.tree_mid_frames - before.tree_mid_frames,
                    left.tree_mid);
          EXPECT_EQ(now.private_leaves, before.private_leaves);
          EXPECT_EQ(now.p2m_pages - before.p2m_pages, left.pte + left.tree_mid);
        }};
    EXPECT_EQ(FailEach(test), abi().pmds_per_mid + 2);
  }
}

// Free pages, ballooned ones and shared leaves of two mids in one range.
TEST_P(HostFaultsTest, RangeThatFailsChangesNoneOfItsWords) {
  const uint64_t mid = abi().mid_span();
  const uint64_t leaf = abi().leaf_span();
  const std::vector<PfnExtent> ranges = {
      ExtentBetween(Pfn(kGuestPages - 10), Pfn(20 * leaf)),
      ExtentBetween(Pfn(2 * mid - 3 * leaf - 1), Pfn(2 * mid + 4 * leaf)),
  };
  for (const PfnExtent& range : ranges) {
    const FaultCase test = {
        [this] { return Guest(); },
        [&](Machine& machine) {
          return machine.domain->p2m()
              .SetRange({"set p2m"}, range, P2mClass::kMissing, Mfn(),
                        RamPolicy::kRelease)
              .status();
        },
        [&](Machine& machine, const absl::Status& status, uint64_t number,
            const DomainPicture& before) {
          EXPECT_THAT(status, Exhausted(Reason::kGuestMemoryExhausted));
          const DomainPicture now = PictureOf(*machine.domain);
          EXPECT_TRUE(now.SameExceptListPages(before)) << "a word has changed";
          // What was taken before stays, except half a pair of PTE pages.
          const uint64_t taken = now.p2m_pages - before.p2m_pages;
          EXPECT_EQ(taken, now.private_leaves - before.private_leaves +
                               now.pte_frames - before.pte_frames +
                               now.tree_mid_frames - before.tree_mid_frames);
          EXPECT_LE(taken, number - 1);
          EXPECT_GE(taken + abi().pmds_per_mid, number);
        }};
    EXPECT_GT(FailEach(test), 7);
    if (HasFailure()) return;
  }
}

TEST_P(HostFaultsTest, BalloonDownThatFailsMovesNothing) {
  const FaultCase test = {[this] { return Guest(); },
                          [](Machine& machine) {
                            return machine.domain->balloon()
                                .Down({"balloon down"}, PageCount(50), false)
                                .status();
                          },
                          [](Machine& machine, const absl::Status& status,
                             uint64_t, const DomainPicture& before) {
                            ExpectUnchanged(machine, status, before);
                          }};
  EXPECT_EQ(FailEach(test), 50);
}

TEST_P(HostFaultsTest, BalloonUpThatFailsMovesNothing) {
  const FaultCase test = {[this] { return Guest(); },
                          [](Machine& machine) {
                            return machine.domain->balloon()
                                .Up({"balloon up"}, PageCount(50), false)
                                .status();
                          },
                          [](Machine& machine, const absl::Status& status,
                             uint64_t, const DomainPicture& before) {
                            ExpectUnchanged(machine, status, before);
                          }};
  EXPECT_EQ(FailEach(test), 1);
}

// Compact room has no leaves yet, so each takes a page on the way up.
TEST_P(HostFaultsTest, BalloonUpIntoCompactRoomTakesItsLeavesFirst) {
  DomainSpec spec = GuestSpec(GetParam());
  spec.p2m.balloon_room = BalloonRoom::kCompact;
  const auto operate = [](bool allow_partial, Machine& machine) {
    const uint64_t current = machine.domain->Info().memory.current.value();
    const PageCount pages(kGuestPages + 30 - current);
    return pages == PageCount(0) ? absl::OkStatus()
                                 : machine.domain->balloon()
                                       .Up({"balloon up"}, pages, allow_partial)
                                       .status();
  };
  const FaultCase whole = {
      [&] { return MachineWith(spec); },
      [&](Machine& machine) { return operate(false, machine); },
      [](Machine& machine, const absl::Status& status, uint64_t,
         const DomainPicture& before) {
        ExpectUnchanged(machine, status, before);
      }};
  EXPECT_EQ(FailEach(whole), 1 + 1);
  const FaultCase partial = {
      [&] { return MachineWith(spec); },
      [&](Machine& machine) { return operate(true, machine); },
      [](Machine& machine, const absl::Status& status, uint64_t,
         const DomainPicture& before) {
        EXPECT_THAT(status, IsOk());
        const DomainPicture now = PictureOf(*machine.domain);
        EXPECT_EQ(now.balloon + now.current, before.balloon + before.current);
        EXPECT_EQ(
            now.available + now.p2m_pages,
            before.available + before.p2m_pages + now.current - before.current);
      }};
  EXPECT_EQ(FailEach(partial), 30 + 1);
}

// The upper page tables of the linear view are part of the boot.
TEST_P(HostFaultsTest, BootWithALinearViewFailsAsSoftly) {
  DomainSpec spec = GuestSpec(GetParam());
  spec.p2m.tools_view = ToolsView::kLinear;
  const FaultCase test = {
      [&] { return MachineWith(spec, /*start_paused=*/true); },
      [](Machine& machine) {
        return machine.domain->Unpause({"unpause"}).status();
      },
      [](Machine& machine, const absl::Status& status, uint64_t,
         const DomainPicture& before) {
        ExpectUnchanged(machine, status, before);
      }};
  EXPECT_GT(FailEach(test), 4);
}

// Moves as far as it can and goes on when asked again.
TEST_P(HostFaultsTest, PartialBalloonMovesWhatItGets) {
  for (const bool up : {false, true}) {
    const uint64_t target = up ? kGuestPages + 50 : kGuestPages - 50;
    uint64_t moved = 0;
    const FaultCase test = {
        [this] { return Guest(); },
        [&](Machine& machine) {
          const uint64_t current =
              machine.domain->Info().memory.current.value();
          if (current == target) return absl::OkStatus();
          const PageCount pages(up ? target - current : current - target);
          const auto done =
              up ? machine.domain->balloon().Up({"balloon up"}, pages, true)
                 : machine.domain->balloon().Down({"balloon down"}, pages,
                                                  true);
          moved = done.ok() ? done->value() : 0;
          return done.status();
        },
        [&](Machine& machine, const absl::Status& status, uint64_t number,
            const DomainPicture& before) {
          EXPECT_THAT(status, IsOk());
          const DomainPicture now = PictureOf(*machine.domain);
          const uint64_t current =
              up ? before.current + moved : before.current - moved;
          EXPECT_EQ(now.current, current);
          EXPECT_EQ(now.target, current);
          EXPECT_EQ(now.balloon + now.current, before.balloon + before.current);
          // A short grant leaves the rest to the next round, which fails only
          // if everything fails.
          EXPECT_TRUE(moved == number - 1 || (up && number > 1 && moved == 50))
              << moved;
        }};
    EXPECT_EQ(FailEach(test), 50);
    if (HasFailure()) return;
  }
}

TEST_P(HostFaultsTest, DriverShortOfItsTargetGoesOnLater) {
  for (const bool up : {false, true}) {
    const uint64_t target = up ? kGuestPages + 50 : kGuestPages - 50;
    const FaultCase test = {
        [this] { return Guest(); },
        [&](Machine& machine) {
          if (machine.domain->Info().memory.target == PageCount(target)) {
            return machine.domain->balloon().Wake(
                {"balloon timer"}, machine.domain->balloon().timer());
          }
          return machine.domain->balloon().SetTarget({"set memory target"},
                                                     PageCount(target));
        },
        [&](Machine& machine, const absl::Status& status, uint64_t number,
            const DomainPicture& before) {
          EXPECT_THAT(status, IsOk());
          const DomainMemory memory = machine.domain->Info().memory;
          EXPECT_EQ(memory.target.value(), target);
          EXPECT_EQ(memory.current.value() + memory.balloon.value(),
                    before.current + before.balloon);
          if (memory.current.value() == target) return;
          EXPECT_EQ(memory.balloon_state, BalloonState::kAgain);
          EXPECT_EQ(memory.current.value(), up ? before.current + (number - 1)
                                               : before.current - (number - 1));
        }};
    EXPECT_EQ(FailEach(test), 50);
    if (HasFailure()) return;
  }
}

// Neither allocates anything, so neither can fail.
TEST_P(HostFaultsTest, IdentityMarksAndClearedRamTakeNoPage) {
  Machine machine = Guest();
  machine.faults->FailAt(1, /*for_good=*/true);
  EXPECT_THAT(machine.domain->p2m().MarkIdentity(
                  {"mark identity"}, Pfn(kGuestPages - 20), Pfn(kFarPfn),
                  /*release_ram=*/true),
              IsOk());
  EXPECT_THAT(machine.domain->p2m().SetRange(
                  {"set p2m"}, {Pfn(1000), PageCount(20)}, P2mClass::kMissing,
                  Mfn(), RamPolicy::kRelease),
              IsOk());
  Machine built = MachineWithGuest(GetParam(), /*start_paused=*/true);
  built.faults->FailAt(1, /*for_good=*/true);
  EXPECT_THAT(
      built.domain->p2m().MarkIdentity({"mark identity"}, Pfn(kGuestPages - 20),
                                       Pfn::None(), /*release_ram=*/true),
      IsOk());
  EXPECT_EQ(machine.faults->asked() + built.faults->asked(), 0);
  EXPECT_THAT(machine.host->Audit().findings, IsEmpty());
}

}  // namespace
}  // namespace simvisor
