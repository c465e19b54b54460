// Address spaces of PAE domains: pages, contents and calls that are refused.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/vm/usual_guest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

constexpr uint64_t kMidSpan = kAbiX86_32Pae.mid_span();

DomainSpec SpaceSpec(absl::string_view name, uint64_t pages,
                     PaeKernel kernel = {}) {
  DomainSpec spec = MakeSpec(name, pages);
  spec.arch = Arch::kX86_32Pae;
  spec.pae_kernel = kernel;
  spec.hotplug_limit_gib = 12;  // three mids, two of them identity
  return spec;
}

std::vector<AddressSpaceInfo> ListAll(Domain& domain) {
  std::vector<AddressSpaceInfo> spaces;
  EXPECT_THAT(domain.processes().List(0, 1 << 20, spaces), IsOk());
  return spaces;
}

class DomainAddressSpaceTest : public testing::Test {
 protected:
  ~DomainAddressSpaceTest() override { ExpectClean(*host_, owned_); }

  NewAddressSpaces Create(uint32_t count) {
    const auto made =
        domain_->processes().Create({"create address spaces"}, count);
    EXPECT_THAT(made, IsOk());
    return made.value_or(NewAddressSpaces());
  }
  Pfn PfnOf(Mfn mfn) {
    std::vector<FrameRun> runs;
    EXPECT_THAT(host_->LookupFrames({mfn, PageCount(1)}, 1, runs), IsOk());
    return runs.at(0).first_pfn;
  }
  absl::Status SetMissing(uint64_t pfn, uint64_t count) {
    return domain_->p2m()
        .SetRange({"set p2m"}, {Pfn(pfn), PageCount(count)}, P2mClass::kMissing,
                  Mfn(), RamPolicy::kKeep)
        .status();
  }
  P2mWord Seen(uint64_t id, uint64_t pfn) {
    std::vector<P2mWord> words;
    EXPECT_THAT(domain_->processes().TranslateIn(id, {pfn}, words), IsOk());
    return words.at(0);
  }

  std::unique_ptr<Host> host_ = MakeHost(20000);
  std::shared_ptr<Domain> domain_ = MustCreate(*host_, SpaceSpec("a", kPages));
  uint64_t owned_ = kDom0Pages + kPages;
};

TEST_F(DomainAddressSpaceTest, TheirPagesAreTheGuestsAndCounted) {
  const DomainMemory before = domain_->Info().memory;
  const NewAddressSpaces made = Create(10);
  EXPECT_EQ(made.first_id, 1u);
  EXPECT_EQ(made.totals.pmd_frames, PageCount(40));
  const DomainMemory memory = domain_->Info().memory;
  EXPECT_EQ(memory.address_space_pages, PageCount(50));
  EXPECT_EQ(memory.available, before.available - PageCount(50));
  EXPECT_EQ(memory.current, before.current);
  EXPECT_EQ(memory.p2m_pages, before.p2m_pages);

  EXPECT_THAT(domain_->processes().Destroy({"destroy address spaces"}, {3, 5}),
              IsOk());
  EXPECT_EQ(domain_->Info().memory.address_space_pages, PageCount(40));
  EXPECT_EQ(ListAll(*domain_).size(), 8u);
}

TEST_F(DomainAddressSpaceTest, TheirPagesCannotBeBallooned) {
  Create(3);
  const PageCount free = domain_->Info().memory.available;
  EXPECT_THAT(
      domain_->balloon().Down({"balloon down"}, free + PageCount(1), false),
      IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
              testing::_));
  ASSERT_THAT(domain_->balloon().Down({"balloon down"}, free, false), IsOk());
  owned_ -= free.value();
  EXPECT_EQ(domain_->Info().memory.address_space_pages, PageCount(15));
  EXPECT_THAT(domain_->processes().Create({"create address spaces"}, 1),
              IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                      HasSubstr("they take 5 pages and the guest has 0 free")));
}

TEST_F(DomainAddressSpaceTest, TheirPagesCannotBeOverwritten) {
  Create(1);
  const AddressSpaceInfo space = ListAll(*domain_)[0];
  for (const Mfn frame : {space.pgd, space.pmds[0], space.pmds[3]}) {
    const uint64_t pfn = PfnOf(frame).value();
    EXPECT_THAT(SetMissing(pfn, 1),
                IsError(Code::kFailedPrecondition, Reason::kPageInUseByKernel,
                        HasSubstr("page tables of the guest's processes")));
    EXPECT_THAT(
        domain_->p2m().MarkIdentity({"mark identity"}, Pfn(pfn), Pfn(pfn + 1),
                                    /*release_ram=*/true),
        IsError(Code::kFailedPrecondition, Reason::kPageInUseByKernel,
                testing::_));
    EXPECT_THAT(domain_->contents().Write({"write"}, Pfn(pfn), 8, "x"),
                IsError(Code::kFailedPrecondition, Reason::kPageInUseByKernel,
                        HasSubstr("page table")));
  }
  // Once they are free again, anything may happen to them.
  const uint64_t pfn = PfnOf(space.pgd).value();
  ASSERT_THAT(domain_->processes().Destroy({"destroy address spaces"}, {1}),
              IsOk());
  EXPECT_THAT(domain_->contents().Write({"write"}, Pfn(pfn), 8, "x"), IsOk());
}

TEST_F(DomainAddressSpaceTest, FramesReadAsPageTables) {
  const DomainMemory memory = domain_->Info().memory;
  ASSERT_GT(memory.available, PageCount(5));
  Create(1);
  const AddressSpaceInfo space = ListAll(*domain_)[0];
  Page page;
  bool zero = true;
  ASSERT_THAT(
      domain_->contents().ReadFrame(space.pgd, absl::MakeSpan(page), &zero),
      IsOk());
  EXPECT_FALSE(zero);
  uint64_t entry = 0;
  for (int i = 7; i >= 0; --i) {
    entry = entry << 8 | static_cast<uint8_t>(page[3 * 8 + i]);
  }
  EXPECT_EQ(entry, (space.pmds[3].value() << 12) | 1);
  std::string bytes(8, '?');
  ASSERT_THAT(
      domain_->contents().Read(PfnOf(space.pmds[3]), 0, absl::MakeSpan(bytes)),
      IsOk());
  EXPECT_EQ(bytes[0], 0x63);
}

TEST_F(DomainAddressSpaceTest, TablesReplaceWhatWasWrittenToTheirPages) {
  Create(1);
  const Pfn user_pmd = PfnOf(ListAll(*domain_)[0].pmds[0]);
  ASSERT_THAT(domain_->processes().Destroy({"destroy address spaces"}, {1}),
              IsOk());
  ASSERT_THAT(domain_->contents().Write({"write"}, user_pmd, 0, "secret"),
              IsOk());
  Create(1);
  std::string bytes(6, '?');
  ASSERT_THAT(domain_->contents().Read(user_pmd, 0, absl::MakeSpan(bytes)),
              IsOk());
  EXPECT_EQ(bytes, std::string(6, '\0'));
  ASSERT_THAT(domain_->processes().Destroy({"destroy address spaces"}, {2}),
              IsOk());
  ASSERT_THAT(domain_->contents().Read(user_pmd, 0, absl::MakeSpan(bytes)),
              IsOk());
  EXPECT_EQ(bytes, std::string(6, '\0'));
}

TEST_F(DomainAddressSpaceTest, ASplitIsSeenByEveryProcess) {
  Create(4);
  const uint64_t pfn = kMidSpan + 1000;
  EXPECT_EQ(Seen(2, pfn), P2mWord::Identity(Pfn(pfn)));
  ASSERT_THAT(SetMissing(pfn, 2), IsOk());
  for (uint64_t id = 1; id <= 4; ++id) {
    EXPECT_TRUE(Seen(id, pfn).is_invalid());
    EXPECT_EQ(Seen(id, pfn + 2), P2mWord::Identity(Pfn(pfn + 2)));
  }
  std::vector<AddressSpaceInfo> none;
  EXPECT_EQ(domain_->processes().List(0, 0, none)->entries_rewritten, 10u);
  const auto sync = domain_->processes().Sync({"sync address spaces"});
  ASSERT_THAT(sync, IsOk());
  EXPECT_EQ(sync->tables_walked, 4u);
  EXPECT_EQ(sync->entries_rewritten, 0u);
}

TEST_F(DomainAddressSpaceTest, SplitsAtBootAreFree) {
  // Room to balloon in a mid of its own is split while the guest boots.
  DomainSpec spec = SpaceSpec("roomy", kPages);
  spec.hotplug_limit_gib = 0;
  spec.e820 =
      MakeMap({Ram(0, kPages * kPageSize),
               Ram(kMidSpan * kPageSize, (kMidSpan + 900) * kPageSize)});
  const auto domain = MustCreate(*host_, spec);
  owned_ += kPages;
  const auto made = domain->processes().Create({"create address spaces"}, 1);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->totals.entries_rewritten, 0u);
  std::vector<P2mWord> words;
  ASSERT_THAT(domain->processes().TranslateIn(1, {kMidSpan}, words), IsOk());
  EXPECT_TRUE(words[0].is_invalid());
}

TEST_F(DomainAddressSpaceTest, OtherGuestsHaveNone) {
  const auto wide = MustCreate(*host_, MakeSpec("wide", 600));
  const auto built = MustCreate(*host_, SpaceSpec("built", 600), true);
  owned_ += 1200;
  EXPECT_THAT(wide->processes().Create({"create address spaces"}, 1),
              IsError(Code::kFailedPrecondition, Reason::kArchNotPae,
                      HasSubstr("x86_64")));
  EXPECT_THAT(
      wide->processes().Sync({"sync address spaces"}),
      IsError(Code::kFailedPrecondition, Reason::kArchNotPae, testing::_));
  EXPECT_THAT(
      built->processes().Create({"create address spaces"}, 1),
      IsError(Code::kFailedPrecondition, Reason::kDomainNotBooted, testing::_));
  std::vector<P2mWord> words;
  EXPECT_THAT(
      built->processes().TranslateIn(1, {0}, words),
      IsError(Code::kFailedPrecondition, Reason::kDomainNotBooted, testing::_));
  ASSERT_THAT(built->Unpause({"unpause"}), IsOk());
  EXPECT_THAT(built->processes().Create({"create address spaces"}, 1), IsOk());
}

TEST_F(DomainAddressSpaceTest, NoneIsNoNumberOfThem) {
  EXPECT_THAT(domain_->processes().Create({"create address spaces"}, 0),
              IsError(Code::kInvalidArgument, Reason::kRangeInvalid,
                      HasSubstr("0 address spaces")));
}

TEST_F(DomainAddressSpaceTest, ManyThatAreCancelledLeaveNothing) {
  const auto large = MustCreate(*host_, SpaceSpec("large", 12000));
  owned_ += 12000;
  const PageCount before = large->Info().memory.available;
  int left = 4;
  const auto stop = [&left] {
    return --left > 0 ? absl::OkStatus() : absl::CancelledError("enough");
  };
  EXPECT_EQ(large->processes()
                .Create({"create address spaces", stop}, 2000)
                .status()
                .code(),
            Code::kCancelled);
  EXPECT_EQ(large->Info().memory.available, before);
  EXPECT_EQ(large->Info().memory.address_space_pages, PageCount(0));
  ASSERT_THAT(large->processes().Create({"create address spaces"}, 2000),
              IsOk());
  EXPECT_EQ(large->Info().memory.address_space_pages, PageCount(10000));
}

TEST_F(DomainAddressSpaceTest, TheyEndWithTheirDomain) {
  const auto domain = MustCreate(*host_, SpaceSpec("b", kPages, {true, 2}));
  ASSERT_THAT(domain->processes().Create({"create address spaces"}, 100),
              IsOk());
  EXPECT_EQ(domain->Info().memory.address_space_pages, PageCount(201));
  EXPECT_EQ(domain->Info().pae_kernel, (PaeKernel{true, 2}));
  ASSERT_THAT(host_->DestroyDomain(domain->id()), IsOk());
  std::vector<AddressSpaceInfo> spaces;
  EXPECT_THAT(
      domain->processes().List(0, 10, spaces),
      IsError(Code::kFailedPrecondition, Reason::kDomainDying, testing::_));
}

}  // namespace
}  // namespace simvisor
