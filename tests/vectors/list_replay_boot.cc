// A list from the builder to its tree, and its migration.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "domain/guest/guest_boot.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/vectors/list_replay.h"

namespace simvisor {
namespace {

// Any list of these cases fits; only what is written takes memory.
constexpr Pfn kCapacity(uint64_t{1} << 28);
constexpr uint64_t kDefaultMfnBase = 0x1000000;

E820Map MapOf(const Json& pfn_ranges) {
  std::vector<E820Entry> entries;
  for (const Json& range : pfn_ranges) {
    const uint64_t start = range[0].get<uint64_t>() * kPageSize;
    const uint64_t end = range[1].get<uint64_t>() * kPageSize;
    entries.push_back(
        {start, end - start,
         range[2].get<bool>() ? E820Type::kRam : E820Type::kReserved});
  }
  return *E820Map::Create(std::move(entries));
}

}  // namespace

void ListReplay::AddBootTo(Operations& operations) {
  operations.Add("constants", "", this, &ListReplay::Constants);
  operations.Add("boot", "nr_pages mfn_base? holes?", this, &ListReplay::Boot);
  operations.Add("add_extra", "start end", this, &ListReplay::AddExtra);
  operations.Add("set_range_identity", "start end", this,
                 &ListReplay::SetRangeIdentity);
  operations.Add("relocate", "limit_pfns?", this, &ListReplay::Relocate);
  operations.Add("boot_pv", "nr_pages e820 max_pages limit_gib? initial?", this,
                 &ListReplay::BootPv);
  operations.Add("build_frame_tree", "", this, &ListReplay::BuildFrameTree);
  operations.Add("migrate", "mfn_base", this, &ListReplay::Migrate);
}

void ListReplay::NewList() {
  list_ = TestList::Make(abi_, kCapacity);
  source_ = LimitedSource();
  // An empty list, so that there is one.
  EXPECT_TRUE(list_.Build(PageCount(0), source_).ok());
  m2p_.clear();
  epoch_ = 0;
}

Json ListReplay::Constants(const Json&) {
  return {{"P2M_PER_PAGE", abi_.words_per_page},
          {"P2M_MID_PER_PAGE", abi_.words_per_page},
          {"P2M_TOP_PER_PAGE", abi_.words_per_page},
          {"MAX_P2M_PFN", abi_.max_p2m_pfn()},
          {"MAX_P2M_GiB", abi_.max_p2m_pfn() / kPagesPerGiB},
          {"PTRS_PER_PTE", abi_.ptrs_per_pte},
          {"PMDS_PER_MID_PAGE", abi_.pmds_per_mid},
          {"pfns_per_leaf", abi_.leaf_span()},
          {"pfns_per_pmd", abi_.pte_page_span()},
          {"pfns_per_mid", abi_.mid_span()},
          {"INVALID_P2M_ENTRY", Hex(abi_.invalid_word)},
          {"IDENTITY_FRAME_BIT", Hex(abi_.identity_bit)},
          {"FOREIGN_FRAME_BIT", Hex(abi_.foreign_bit)},
          {"area_align_bytes", abi_.area_align_bytes()},
          {"remap_chunk", abi_.remap_chunk()},
          {"frame_list_batch", abi_.balloon_batch()}};
}

Json ListReplay::Boot(const Json& step) {
  NewList();
  const PageCount nr_pages(step["nr_pages"].get<uint64_t>());
  EXPECT_TRUE(list_.Build(nr_pages, source_).ok());
  const Mfn base(step.value("mfn_base", kDefaultMfnBase));
  list_.StoreFrames(Pfn(0), {base, nr_pages});
  for (const Json& hole : step.value("holes", Json::array())) {
    list_.ClearFrames(ExtentBetween(Pfn(hole[0].get<uint64_t>()),
                                    Pfn(hole[1].get<uint64_t>())));
  }
  return {{"p2m_size", list_.words->size().value()},
          {"max_p2m_pfn", list_.max_pfn().value()}};
}

Json ListReplay::AddExtra(const Json& step) {
  list_.built->AddExtraRegion(
      ExtentBetween(PfnAt(step, "start"), PfnAt(step, "end")));
  return {{"max_p2m_pfn", list_.max_pfn().value()}};
}

Json ListReplay::SetRangeIdentity(const Json& step) {
  if (!list_.built.has_value()) {
    return "crash: identity ranges can only be marked before relocation";
  }
  return list_.built
      ->MarkIdentity(kPermit, PfnAt(step, "start"), PfnAt(step, "end"))
      .value();
}

Json ListReplay::Relocate(const Json& step) {
  const uint64_t before = source_.taken();
  const Pfn limit(step.value("limit_pfns", uint64_t{0}));
  const uint64_t expected = list_.PagesToBoot(limit).value();
  EXPECT_TRUE(list_.Relocate(limit, source_).ok());
  const uint64_t taken = source_.taken() - before;
  // The count includes what the first build of the tree will take.
  const uint64_t tree =
      3 + std::min(list_->Summary().private_mids, abi_.words_per_page);
  EXPECT_LE(taken, expected);
  if (list_->Summary().private_mids < abi_.words_per_page) {
    EXPECT_EQ(taken + tree, expected);
  }
  return {{"p2m_size", list_->p2m_size().value()},
          {"va_bytes", list_->Summary().area_bytes},
          {"frames_used", taken}};
}

Json ListReplay::BootPv(const Json& step) {
  NewList();
  const E820Map map = MapOf(step["e820"]);
  const PageCount nr_pages(step["nr_pages"].get<uint64_t>());
  const Pfn limit(step.value("limit_gib", uint64_t{0}) * kPagesPerGiB);
  const absl::StatusOr<MemorySetup> planned =
      PlanMemorySetup({.abi = &abi_,
                       .e820 = &map,
                       .nr_pages = nr_pages,
                       .ceiling = PageCount(step["max_pages"].get<uint64_t>()),
                       .initial = step.value("initial", true),
                       .area_limit = limit});
  if (planned.ok()) return BootPlanned(nr_pages, *planned, limit);
  EXPECT_EQ(planned.status().code(), absl::StatusCode::kFailedPrecondition);
  return "crash: remap target larger than its ballooning room";
}

Json ListReplay::BootPlanned(PageCount nr_pages, const MemorySetup& setup,
                             Pfn limit) {
  const uint64_t needed = PagesToBoot(abi_, nr_pages, setup, limit)->value();
  EXPECT_TRUE(list_.Build(nr_pages, source_).ok());
  list_.StoreFrames(Pfn(0), {Mfn(kDefaultMfnBase), nr_pages});
  auto booted = BootGuest(kPermit, *std::exchange(list_.built, std::nullopt),
                          setup, {}, limit, source_);
  EXPECT_TRUE(booted.ok());
  list_.list = std::move(booted->list);
  EXPECT_EQ(source_.taken(), needed);
  PageCount left;
  for (const auto& [first, end] : list_->extra_regions().extents()) {
    left += end - first;
  }
  EXPECT_EQ(left, setup.extra_left.size());
  return {{"remapped", setup.moved_pages.value()},
          {"released", setup.released_pages.value()},
          {"remap_chunks", setup.note_pages.value()},
          {"extra_left", left.value()}};
}

Json ListReplay::BuildFrameTree(const Json&) {
  const uint64_t before = source_.kept();
  const absl::Status built = list_->Publish(source_);
  if (!built.ok()) return Refusal(built);
  return {{"frames_taken", source_.kept() - before}};
}

Json ListReplay::Migrate(const Json& step) {
  const Mfn base(step["mfn_base"].get<uint64_t>());
  const absl::Status status =
      list_.ReplaceFrames([base](PfnExtent pfns) -> MfnExtent {
        return {base + PageCount(pfns.first.value()), pfns.count};
      });
  if (!status.ok()) return Refusal(status);
  return {{"epoch", ++epoch_}};
}

}  // namespace simvisor
