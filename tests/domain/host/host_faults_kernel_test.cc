// What a running kernel allocates, made to fail in turn: pages for foreign
// mappings, page tables of processes, and pages of a load.

#include <cstdint>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/host/fault_plan.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::IsEmpty;

// --- Foreign mappings --------------------------------------------------------

class ForeignFaultsTest : public testing::TestWithParam<Arch> {
 protected:
  const Abi& abi() const { return AbiOf(GetParam()); }
  // The second mid is only compact room, so the first mapping there takes every
  // kind of page (p2m.md A6).  Room is at most ten times what a guest has.
  uint64_t pages() const { return 2 * abi().mid_span() / 11 + 1000; }

  Machine MakeMapper() const {
    Machine machine;
    HostConfig config;
    config.e820 = E820Map::SingleRam(PageCount(pages() + 2 * kDom0Pages));
    config.dom0_memory = PageCount(kDom0Pages);
    config.faults = machine.faults.get();
    auto host = Host::Create(config);
    EXPECT_THAT(host, IsOk());
    machine.host = *std::move(host);
    DomainSpec spec = MakeSpec("guest", pages(), 2 * abi().mid_span());
    spec.arch = GetParam();
    spec.p2m.balloon_room = BalloonRoom::kCompact;
    machine.domain = MustCreate(*machine.host, spec);
    EXPECT_THAT(
        machine.domain->balloon().Down({"balloon down"}, PageCount(10), false),
        IsOk());
    return machine;
  }

  // Two pfns in one leaf of the untouched mid, one in another, and one that was
  // ballooned out, whose leaf is there.
  std::vector<uint64_t> Slots() const {
    const uint64_t first = abi().mid_span();
    return {first + 7, first + 8, first + abi().leaf_span(), pages() - 5};
  }
  uint64_t Mapped(const Machine& machine) const {
    return machine.domain->p2m().Summary()->summary.foreign;
  }

  // Maps frames of dom0 at the slots that are still missing.  Returns the
  // status of the first slot that fails.
  absl::Status MapMissing(Machine& machine) const {
    const std::shared_ptr<Domain> owner = *machine.host->Find(kDom0Id);
    std::vector<ForeignSlot> slots;
    uint64_t pfn = 1000;
    for (const uint64_t slot : Slots()) {
      const Mfn mfn(WordOf(*owner, pfn++).Number());
      if (WordOf(*machine.domain, slot).is_invalid()) {
        slots.push_back({Pfn(slot), mfn});
      }
    }
    ForeignReport report;
    const uint64_t before = Mapped(machine);
    // The call succeeds whatever its slots do.
    EXPECT_THAT(
        machine.domain->p2m().MapForeign({"map foreign"}, slots, report),
        IsOk());
    EXPECT_EQ(report.done + report.failed, slots.size());
    EXPECT_EQ(report.errors.size(), report.failed);
    EXPECT_EQ(Mapped(machine), before + report.done);
    return report.errors.empty() ? absl::OkStatus()
                                 : report.errors.front().status;
  }
};

TEST_P(ForeignFaultsTest, SlotThatFailsIsUnmappedAndTheOthersGoOn) {
  const FaultCase test = {
      [this] { return MakeMapper(); },
      [this](Machine& machine) { return MapMissing(machine); },
      [this](Machine& machine, const absl::Status& status, uint64_t number,
             const DomainPicture& before) {
        EXPECT_THAT(status, Exhausted(Reason::kGuestMemoryExhausted));
        const DomainPicture now = PictureOf(*machine.domain);
        // The ballooned page's leaf exists, so this slot never fails.
        EXPECT_GE(Mapped(machine), 1);
        EXPECT_LE(Mapped(machine), 3);
        EXPECT_EQ(now.balloon, before.balloon - Mapped(machine));
        EXPECT_EQ(now.current, before.current);
        EXPECT_EQ(now.available + now.p2m_pages,
                  before.available + before.p2m_pages);
        if (Mapped(machine) > 1) return;
        // Everything failed from this one on.
        const bool has_ptes = number > abi().pmds_per_mid;
        const bool has_tree_page = number > abi().pmds_per_mid + 1;
        EXPECT_EQ(now.pte_frames - before.pte_frames,
                  has_ptes ? abi().pmds_per_mid : 0);
        EXPECT_EQ(now.tree_mid_frames - before.tree_mid_frames,
                  has_tree_page ? 1 : 0);
        EXPECT_EQ(now.private_leaves, before.private_leaves);
      }};
  // Page-table pages, tree page and two leaves.
  EXPECT_EQ(FailEach(test), abi().pmds_per_mid + 1 + 2);
}

TEST_P(ForeignFaultsTest, UnmappingTakesNothing) {
  Machine machine = MakeMapper();
  ASSERT_THAT(MapMissing(machine), IsOk());
  machine.faults->FailAt(1, /*for_good=*/true);
  ForeignReport report;
  ASSERT_THAT(machine.host->UnmapForeign({"unmap foreign"},
                                         machine.domain->id(), Slots(), report),
              IsOk());
  EXPECT_EQ(report.done, Slots().size());
  EXPECT_EQ(machine.faults->asked(), 0);
  EXPECT_THAT(machine.host->Audit().findings, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(BothAbis, ForeignFaultsTest,
                         testing::Values(Arch::kX86_64, Arch::kX86_32Pae),
                         ArchName);

// --- Processes ---------------------------------------------------------------

class AddressSpaceFaultsTest : public testing::TestWithParam<bool> {
 protected:
  static bool shared() { return GetParam(); }

  static Machine Guest() {
    DomainSpec spec = GuestSpec(Arch::kX86_32Pae);
    spec.pae_kernel.shared_kernel_pmd = shared();
    return MachineWith(spec);
  }
  static AddressSpaceTotals Totals(const Machine& machine) {
    std::vector<AddressSpaceInfo> spaces;
    const auto totals = machine.domain->processes().List(0, 100, spaces);
    EXPECT_THAT(totals, IsOk());
    EXPECT_EQ(spaces.size(), totals->spaces);
    return *totals;
  }
};

TEST_P(AddressSpaceFaultsTest, CreationThatFailsIsUndone) {
  const FaultCase test = {
      [] { return Guest(); },
      [](Machine& machine) {
        const auto made =
            machine.domain->processes().Create({"create address spaces"}, 3);
        if (made.ok()) {
          EXPECT_EQ(made->first_id % 3, 1) << "a failure has used up ids";
        }
        return made.status();
      },
      [](Machine& machine, const absl::Status& status, uint64_t,
         const DomainPicture& before) {
        ExpectUnchanged(machine, status, before);
        EXPECT_EQ(Totals(machine).spaces, 0);
        EXPECT_EQ(Totals(machine).pgd_frames + Totals(machine).pmd_frames,
                  PageCount(0));
        EXPECT_EQ(machine.domain->Info().memory.address_space_pages,
                  PageCount(0));
      }};
  // Shared: a page of tables and three pmds each.  Unshared: five pages each.
  EXPECT_EQ(FailEach(test), shared() ? 1 + 3 * 3 : 3 * 5);
}

// Existing processes stay, and so does what they see.
TEST_P(AddressSpaceFaultsTest, SetThatFailsLeavesProcessesAlone) {
  constexpr uint64_t kFarPfn = 2 * 1048576 + 5;
  const auto seen = [](Machine& machine) {
    std::vector<P2mWord> words;
    std::vector<AddressSpaceInfo> spaces;
    EXPECT_THAT(machine.domain->processes().List(0, 1, spaces), IsOk());
    EXPECT_THAT(machine.domain->processes().TranslateIn(spaces.at(0).id,
                                                        {kFarPfn}, words),
                IsOk());
    return words.at(0);
  };
  const FaultCase test = {
      [] {
        Machine machine = Guest();
        EXPECT_THAT(
            machine.domain->processes().Create({"create address spaces"}, 3),
            IsOk());
        return machine;
      },
      [&](Machine& machine) {
        const absl::Status status =
            machine.domain->p2m()
                .SetRange({"set p2m"}, {Pfn(kFarPfn), PageCount(1)},
                          P2mClass::kMissing, Mfn(), RamPolicy::kRefuse)
                .status();
        if (status.ok()) {
          EXPECT_TRUE(seen(machine).is_invalid());
        }
        return status;
      },
      [&](Machine& machine, const absl::Status& status, uint64_t number,
          const DomainPicture& before) {
        EXPECT_THAT(status, Exhausted(Reason::kGuestMemoryExhausted));
        EXPECT_TRUE(PictureOf(*machine.domain).SameExceptListPages(before));
        EXPECT_EQ(seen(machine), P2mWord::Identity(Pfn(kFarPfn)));
        // Both entries of the mid are rewritten, in the master and in each
        // listed table, as soon as its two pages are there.
        const uint64_t tables = shared() ? 1 : 1 + 3;
        EXPECT_EQ(Totals(machine).entries_rewritten,
                  number > 2 ? 2 * tables : 0);
      }};
  EXPECT_EQ(FailEach(test), 2 + 1 + 1);
}

INSTANTIATE_TEST_SUITE_P(SharedKernelPmd, AddressSpaceFaultsTest,
                         testing::Bool());

// --- Loads -------------------------------------------------------------------

class LoadFaultsTest : public testing::TestWithParam<Arch> {};

TEST_P(LoadFaultsTest, StartThatFailsTakesNothing) {
  const FaultCase test = {
      [] { return MachineWithGuest(GetParam()); },
      [](Machine& machine) {
        return machine.domain->load()
            .Start({"start a load"}, {.working_set = PageCount(20)})
            .status();
      },
      [](Machine& machine, const absl::Status& status, uint64_t,
         const DomainPicture& before) {
        ExpectUnchanged(machine, status, before);
        EXPECT_FALSE(machine.domain->load().Find().ok());
      }};
  EXPECT_EQ(FailEach(test), 20);
}

INSTANTIATE_TEST_SUITE_P(Arches, LoadFaultsTest,
                         testing::Values(Arch::kX86_64, Arch::kX86_32Pae));

}  // namespace
}  // namespace simvisor
