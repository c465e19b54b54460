// Address spaces of a PAE guest on a list of its own.

#include "domain/guest/address_spaces.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "domain/guest/free_pages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/p2m_pages.h"
#include "tests/random_seed.h"
#include "tests/status_matchers.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const Abi& kAbi = kAbiX86_32Pae;
constexpr uint64_t kMfnBase = 0x10000;
constexpr uint64_t kFirstFree = 2000;
constexpr uint64_t kFreePages = 3000;
constexpr uint64_t kMids = 4;
// In the second mid, which is identity.
constexpr uint64_t kSplitPfn = kAbi.mid_span() + 5;

absl::Status NoStop() { return absl::OkStatus(); }

// A kernel that changes its own tables and leaves the rest to vmalloc_sync_all.
class LazyKernel : public PmdListener {
 public:
  explicit LazyKernel(AddressSpaces& spaces) : spaces_(spaces) {}
  void PmdsReplaced(uint64_t first_entry,
                    absl::Span<const Pfn> pte_pages) override {
    spaces_.ReplaceInMaster(first_entry, pte_pages);
  }

 private:
  AddressSpaces& spaces_;
};

// A guest with a mid of RAM and three of identity.
class AddressSpacesTest : public testing::Test {
 protected:
  AddressSpacesTest() {
    EXPECT_THAT(list_->Relocate(Pfn(kMids * kAbi.mid_span()), list_source_),
                IsOk());
    EXPECT_THAT(list_->BuildTree(list_source_), IsOk());
    free_.Return({Pfn(kFirstFree), PageCount(kFreePages)});
  }

  ~AddressSpacesTest() override {
    if (spaces_ != nullptr) {
      EXPECT_THAT(spaces_->CheckInvariants(), IsOk());
    }
    EXPECT_THAT(list_->CheckInvariants(), IsOk());
  }

  AddressSpaces& Make(bool shared, int user_pgds = 3) {
    spaces_ = std::make_unique<AddressSpaces>(
        "guest", PaeKernel{shared, user_pgds}, *list_);
    list_->SetPmdListener(spaces_.get());
    return *spaces_;
  }

  uint64_t Create(uint64_t count) {
    const auto first = spaces_->Create(count, free_, NoStop);
    EXPECT_THAT(first, IsOk());
    return first.value_or(0);
  }
  absl::Status Destroy(const std::vector<uint64_t>& ids) {
    return spaces_->Destroy(ids, free_, NoStop);
  }
  std::vector<AddressSpaceInfo> All() const {
    std::vector<AddressSpaceInfo> all;
    spaces_->List(0, 1 << 20, all);
    return all;
  }
  P2mWord Seen(uint64_t id, uint64_t pfn) const {
    std::vector<P2mWord> words;
    EXPECT_THAT(spaces_->Translate(id, {pfn}, words), IsOk());
    return words.at(0);
  }
  void Split(uint64_t pfn) {
    ASSERT_THAT(list_->Set(Pfn(pfn), P2mWord::Ram(Mfn(0x99)), free_), IsOk());
  }
  // An 8-byte entry of the page at `pfn`.
  uint64_t Entry(Mfn page, uint64_t index) const {
    std::string content(kPageSize, '?');
    const Pfn pfn(page.value() - kMfnBase);
    EXPECT_TRUE(spaces_->RenderPage(pfn, absl::MakeSpan(content)));
    uint64_t entry = 0;
    for (size_t i = 8; i > 0; --i) {
      entry = entry << 8 | static_cast<uint8_t>(content[index * 8 + i - 1]);
    }
    return entry;
  }

  PagesFrom list_source_{0, kFirstFree};
  std::unique_ptr<P2mList> list_ =
      BuiltList(kAbi, kAbi.mid_span(), kMfnBase, list_source_);
  FreePages free_;
  std::unique_ptr<AddressSpaces> spaces_;
};

TEST_F(AddressSpacesTest, UnsharedTablesArePagesFollowedByFourPmds) {
  Make(/*shared=*/false);
  EXPECT_EQ(spaces_->PagesToCreate(2), PageCount(10));
  EXPECT_EQ(Create(2), 1u);
  const auto all = All();
  ASSERT_EQ(all.size(), 2u);
  const uint64_t first = kMfnBase + kFirstFree;
  EXPECT_EQ(all[0].pgd, Mfn(first));
  EXPECT_THAT(all[0].pmds, ElementsAre(Mfn(first + 1), Mfn(first + 2),
                                       Mfn(first + 3), Mfn(first + 4)));
  EXPECT_EQ(all[1].pgd, Mfn(first + 5));
  EXPECT_EQ(all[1].pgd_offset, 0u);
  EXPECT_TRUE(all[1].listed);
  EXPECT_EQ(free_.count(), PageCount(kFreePages - 10));
  EXPECT_TRUE(spaces_->Intersects({Pfn(kFirstFree + 9), PageCount(1)}));
  EXPECT_FALSE(spaces_->Intersects({Pfn(kFirstFree + 10), PageCount(900)}));
}

TEST_F(AddressSpacesTest, SharedTablesShareAPageAndHaveUserPmdsOnly) {
  Make(/*shared=*/true);
  EXPECT_EQ(spaces_->PagesToCreate(130), PageCount(2 + 390));
  Create(130);
  const auto all = All();
  EXPECT_EQ(all[1].pgd, all[0].pgd);
  EXPECT_EQ(all[1].pgd_offset, 32u);
  EXPECT_EQ(all[127].pgd_offset, 4064u);
  EXPECT_NE(all[128].pgd, all[0].pgd);
  EXPECT_TRUE(all[0].pmds[3].is_none());
  EXPECT_FALSE(all[0].listed);
  EXPECT_EQ(spaces_->totals().pgd_frames, PageCount(2));
  EXPECT_EQ(spaces_->totals().listed, 0u);
}

TEST_F(AddressSpacesTest, TablesNameTheirPmdsAndPmdsTheArea) {
  Make(/*shared=*/false, /*user_pgds=*/2);
  const uint64_t id = Create(1);
  Split(kSplitPfn);
  const AddressSpaceInfo space = All()[0];
  EXPECT_EQ(space.id, id);
  for (uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(Entry(space.pgd, i), (space.pmds[i].value() << 12) | 1);
  }
  EXPECT_EQ(Entry(space.pgd, 4), 0u);
  for (uint64_t i = 0; i < 2 * kMids; ++i) {
    const uint64_t page = list_->PtePageAt(i).value();
    EXPECT_EQ(Entry(space.pmds[3], i), ((kMfnBase + page) << 12) | 0x67);
    EXPECT_EQ(Entry(space.pmds[2], i), 0u);
    EXPECT_EQ(Entry(space.pmds[0], i), 0u);
  }
  EXPECT_EQ(Entry(space.pmds[3], 2 * kMids), 0u);
}

TEST_F(AddressSpacesTest, ASlabPageHoldsTheTablesThatAreLeft) {
  Make(/*shared=*/true);
  Create(3);
  ASSERT_THAT(Destroy({2}), IsOk());
  const auto all = All();
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Entry(all[0].pgd, i), (all[0].pmds[i].value() << 12) | 1);
    EXPECT_EQ(Entry(all[0].pgd, 4 + i), 0u);
    EXPECT_EQ(Entry(all[0].pgd, 8 + i), (all[1].pmds[i].value() << 12) | 1);
  }
  EXPECT_EQ(Entry(all[0].pgd, 3), 0u) << "the kernel's pmd has no frame";
  // The place of the second is the next to be filled.
  EXPECT_EQ(Create(1), 4u);
  EXPECT_EQ(All()[2].pgd_offset, 32u);
}

TEST_F(AddressSpacesTest, DestroyGivesEveryPageBack) {
  for (const bool shared : {false, true}) {
    SCOPED_TRACE(shared);
    const auto before = free_.set().extents();
    Make(shared);
    Create(200);
    std::vector<uint64_t> ids;
    for (uint64_t id = 200; id >= 1; --id) ids.push_back(id);
    ASSERT_THAT(Destroy(ids), IsOk());
    EXPECT_EQ(free_.set().extents(), before);
    EXPECT_EQ(spaces_->pages(), PageCount(0));
    EXPECT_EQ(Create(1), 201u) << "ids are not used again";
    ASSERT_THAT(Destroy({201}), IsOk());
  }
}

TEST_F(AddressSpacesTest, DestroyRefusesAllIfItRefusesOne) {
  Make(/*shared=*/false);
  Create(3);
  EXPECT_THAT(Destroy({1, 4}),
              IsError(Code::kNotFound, Reason::kAddressSpaceNotFound,
                      HasSubstr("guest: address space 4")));
  EXPECT_THAT(Destroy({1, 2, 1}),
              IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                      HasSubstr("address space 1")));
  const auto stop = [] { return absl::CancelledError("enough"); };
  EXPECT_EQ(spaces_->Destroy({1}, free_, stop).code(), Code::kCancelled);
  EXPECT_EQ(All().size(), 3u);
}

// Every number of pages that is not enough, with a slab page partly filled.
TEST_F(AddressSpacesTest, CreateThatRunsOutOfPagesChangesNothing) {
  for (const bool shared : {false, true}) {
    SCOPED_TRACE(shared);
    Make(shared);
    Create(126);
    const auto all_before = All();
    const uint64_t needed = spaces_->PagesToCreate(4).value();
    for (uint64_t k = 0; k <= needed; ++k) {
      SCOPED_TRACE(k);
      FreePages source;  // every second page, so that no two follow each other
      for (uint64_t i = 0; i < k; ++i) {
        source.Return({Pfn(kFirstFree + kFreePages + 2 * i), PageCount(1)});
      }
      const auto left = source.set().extents();
      const auto made = spaces_->Create(4, source, NoStop);
      EXPECT_THAT(spaces_->CheckInvariants(), IsOk());
      if (k == needed) {
        ASSERT_THAT(made, IsOk());
        EXPECT_EQ(*made, 127u);
        EXPECT_EQ(source.count(), PageCount(0));
        break;
      }
      EXPECT_THAT(
          made, IsError(Code::kResourceExhausted, Reason::kGuestMemoryExhausted,
                        HasSubstr("create of 4 address spaces")));
      EXPECT_EQ(source.set().extents(), left);
      const auto all = All();
      ASSERT_EQ(all.size(), all_before.size());
      for (size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(all[i].pgd_offset, all_before[i].pgd_offset);
        EXPECT_EQ(all[i].pmds, all_before[i].pmds);
      }
    }
  }
}

TEST_F(AddressSpacesTest, CreateThatIsStoppedLeavesNothing) {
  Make(/*shared=*/false);
  const auto before = free_.set().extents();
  for (int asked = 1; asked <= 3; ++asked) {
    int left = asked;
    const auto stop = [&left] {
      return --left > 0 ? absl::OkStatus() : absl::CancelledError("enough");
    };
    EXPECT_EQ(spaces_->Create(600, free_, stop).status().code(),
              Code::kCancelled);
    EXPECT_EQ(left, 0);
    EXPECT_EQ(free_.set().extents(), before);
    EXPECT_EQ(spaces_->totals().spaces, 0u);
  }
  EXPECT_EQ(Create(1), 1u);
}

TEST_F(AddressSpacesTest, ASplitRewritesTwoEntriesInEveryListedTable) {
  Make(/*shared=*/false);
  Create(7);
  EXPECT_EQ(Seen(3, kSplitPfn), P2mWord::Identity(Pfn(kSplitPfn)));
  Split(kSplitPfn);
  EXPECT_EQ(spaces_->totals().entries_rewritten, 2u * (7 + 1));
  for (uint64_t id = 1; id <= 7; ++id) {
    EXPECT_EQ(Seen(id, kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  }
  // One that is made now copies what the master has.
  EXPECT_EQ(Seen(Create(1), kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  EXPECT_EQ(spaces_->totals().entries_rewritten, 2u * (7 + 1));
}

TEST_F(AddressSpacesTest, ASplitUnderSharedPmdsIsTwoWrites) {
  Make(/*shared=*/true);
  Create(7);
  Split(kSplitPfn);
  EXPECT_EQ(spaces_->totals().entries_rewritten, 2u);
  EXPECT_EQ(Seen(7, kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  const auto sync = spaces_->Sync(NoStop);
  ASSERT_THAT(sync, IsOk());
  EXPECT_EQ(sync->tables_walked, 0u);
}

TEST_F(AddressSpacesTest, WithoutTheAnnouncementTranslationsAreStale) {
  Make(/*shared=*/false);
  Create(2);
  list_->SetPmdListener(nullptr);
  Split(kSplitPfn);
  EXPECT_EQ(Seen(1, kSplitPfn), P2mWord::Identity(Pfn(kSplitPfn)));
  EXPECT_EQ(list_->Lookup(Pfn(kSplitPfn)), P2mWord::Ram(Mfn(0x99)));
  EXPECT_THAT(spaces_->CheckInvariants().message(), HasSubstr("PMD entry 2"));
  Make(/*shared=*/false);
}

TEST_F(AddressSpacesTest, SyncBringsListedTablesUpToDate) {
  Make(/*shared=*/false);
  Create(5);
  LazyKernel lazy(*spaces_);
  list_->SetPmdListener(&lazy);
  Split(kSplitPfn);
  Split(kSplitPfn + kAbi.mid_span());
  EXPECT_EQ(Seen(5, kSplitPfn), P2mWord::Identity(Pfn(kSplitPfn)));
  EXPECT_FALSE(spaces_->CheckInvariants().ok());
  const uint64_t up_to_date = Create(1);
  EXPECT_EQ(Seen(up_to_date, kSplitPfn), P2mWord::Ram(Mfn(0x99)));

  const auto sync = spaces_->Sync(NoStop);
  ASSERT_THAT(sync, IsOk());
  EXPECT_EQ(sync->tables_walked, 6u);
  EXPECT_EQ(sync->entries_rewritten, 5u * 4);
  EXPECT_EQ(Seen(5, kSplitPfn), P2mWord::Ram(Mfn(0x99)));
  EXPECT_EQ(spaces_->Sync(NoStop)->entries_rewritten, 0u);
  EXPECT_EQ(spaces_->totals().entries_rewritten, 4u + 20);
}

TEST_F(AddressSpacesTest, TranslateRefusesWhatNoTableMaps) {
  Make(/*shared=*/false);
  Create(1);
  std::vector<P2mWord> words;
  const uint64_t end = kMids * kAbi.mid_span();
  EXPECT_THAT(spaces_->Translate(1, {0, end}, words),
              IsError(Code::kOutOfRange, Reason::kPfnOutOfRange,
                      HasSubstr("ends at pfn 0x400000")));
  EXPECT_THAT(spaces_->Translate(2, {0}, words),
              IsError(Code::kNotFound, Reason::kAddressSpaceNotFound,
                      HasSubstr("address space 2")));
  EXPECT_TRUE(words.empty());
}

TEST_F(AddressSpacesTest, ListGoesOnFromAnyId) {
  Make(/*shared=*/false);
  Create(5);
  ASSERT_THAT(Destroy({3}), IsOk());
  std::vector<AddressSpaceInfo> some;
  spaces_->List(2, 2, some);
  ASSERT_EQ(some.size(), 2u);
  EXPECT_EQ(some[0].id, 2u);
  EXPECT_EQ(some[1].id, 4u);
  spaces_->List(6, 2, some);
  EXPECT_EQ(some.size(), 2u);
}

// Random calls; after each, what a process sees is what the list has.
class AddressSpacesRandomTest : public AddressSpacesTest,
                                public testing::WithParamInterface<PaeKernel> {
 protected:
  uint64_t Pick(uint64_t below) { return random_() % below; }

  void Step() {
    switch (Pick(4)) {
      case 0:
        MakeSome();
        break;
      case 1:
        EndSome();
        break;
      default:
        SetSome();
        break;
    }
  }

  void MakeSome() {
    const uint64_t count = 1 + Pick(150);
    const PageCount needed = spaces_->PagesToCreate(count);
    const PageCount before = free_.count();
    const auto first = spaces_->Create(count, free_, NoStop);
    ASSERT_EQ(first.ok(), needed <= before);
    EXPECT_EQ(before - free_.count(), first.ok() ? needed : PageCount(0));
    for (uint64_t i = 0; first.ok() && i < count; ++i) {
      ids_.push_back(*first + i);
    }
  }

  void EndSome() {
    std::shuffle(ids_.begin(), ids_.end(), random_);
    const uint64_t left = Pick(ids_.size() + 1);
    ASSERT_THAT(Destroy({ids_.begin() + left, ids_.end()}), IsOk());
    ids_.resize(left);
  }

  // Past the RAM, so that no page of anything is overwritten.
  void SetSome() {
    const uint64_t first = kAbi.mid_span() + Pick(3 * kAbi.mid_span() - 5000);
    const P2mList::RangeFill fill = Pick(2) == 0
                                        ? P2mList::RangeFill::Missing()
                                        : P2mList::RangeFill::Identity();
    const uint64_t mids = list_->Summary().private_mids;
    const uint64_t rewritten = spaces_->totals().entries_rewritten;
    // A failure for want of pages changes nothing that is looked at here.
    list_->SetRange({Pfn(first), PageCount(1 + Pick(5000))}, fill, free_)
        .IgnoreError();
    const uint64_t split = list_->Summary().private_mids - mids;
    EXPECT_EQ(spaces_->totals().entries_rewritten - rewritten,
              2 * split * (spaces_->totals().listed + 1));
    last_set_ = first;
  }

  void Check() {
    ASSERT_THAT(spaces_->CheckInvariants(), IsOk());
    EXPECT_EQ(spaces_->totals().spaces, ids_.size());
    std::vector<uint64_t> pfns = {0, last_set_, last_set_ + 1};
    for (int i = 0; i < 20; ++i) pfns.push_back(Pick(kMids * kAbi.mid_span()));
    for (int i = 0; !ids_.empty() && i < 5; ++i) {
      std::vector<P2mWord> words;
      ASSERT_THAT(spaces_->Translate(ids_[Pick(ids_.size())], pfns, words),
                  IsOk());
      for (size_t j = 0; j < pfns.size(); ++j) {
        ASSERT_EQ(words[j].ToString(), list_->Lookup(Pfn(pfns[j])).ToString())
            << "pfn " << pfns[j];
      }
    }
  }

  std::mt19937_64 random_;
  std::vector<uint64_t> ids_;
  uint64_t last_set_ = 0;
};

TEST_P(AddressSpacesRandomTest, EveryProcessSeesTheListsAnswer) {
  Make(GetParam().shared_kernel_pmd, GetParam().user_pgds);
  for (const uint64_t seed : TestSeeds(1)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    random_.seed(seed);
    for (int step = 0; step < 200 && !HasFatalFailure(); ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      Step();
      Check();
    }
  }
  EXPECT_EQ(list_->Summary().private_mids, kMids) << "a mid was never split";
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, AddressSpacesRandomTest,
    testing::Values(PaeKernel{false, 3}, PaeKernel{false, 2},
                    PaeKernel{false, 1}, PaeKernel{true, 3}, PaeKernel{true, 2},
                    PaeKernel{true, 1}),
    [](const auto& param_info) {
      return absl::StrCat(
          param_info.param.shared_kernel_pmd ? "Shared" : "Unshared",
          param_info.param.user_pgds, "UserPgds");
    });

}  // namespace
}  // namespace simvisor
