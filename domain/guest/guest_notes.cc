// What a kernel notes about itself when it is saved, and the guest made of it
// (docs/images.md has the table of fields).
//
// The bytes cannot be trusted.  Every field is checked against the other fields
// and against the pages received, before the guest exists.

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/guest/guest.h"
#include "domain/p2m/p2m_codec.h"

namespace simvisor {
namespace {

// Runs or leaves visited between two calls of a StopCheck.
constexpr uint64_t kLooksPerStop = 4096;

// The sizes that a list can have: its area is made for the map's RAM, and for
// the memory hotplug limit.
RestoredWords WordsOf(const Abi& abi, const GuestConfig& config,
                      const PfnSet& ram, Pfn end) {
  const uint64_t leaf = abi.leaf_span();
  const Pfn map_end(std::min(
      (config.e820.EndPage().value() + leaf - 1) / leaf * leaf, abi.pfn_limit));
  return {.ram = ram,
          .end = end,
          .least_size = std::max(config.HotplugLimit(), end),
          .most_size = std::min(AreaEnd(abi, map_end, config.HotplugLimit()),
                                Pfn(abi.pfn_limit))};
}

// Whether all words of `pfns` are of class `wanted`.
bool IsOf(const P2mList& list, P2mClass wanted, PfnExtent pfns) {
  if (pfns.end() > list.p2m_size()) return false;
  const P2mRun run = list.RunAt(pfns.first, pfns.end(), P2mView::kResolved,
                                RunMerge::kByClass);
  return run.word.Class() == wanted && run.pfns.end() == pfns.end();
}

// Whether all words of `pfns` are RAM, and none of the pages holds the list.
bool IsPlainRam(const P2mList& list, PfnExtent pfns) {
  return IsOf(list, P2mClass::kRam, pfns) && !list.structure().Intersects(pfns);
}

// Why pages of the record cannot be where `notes` have them; empty if they can.
std::string WrongRecordPage(const GuestNotes& notes, const PfnSet& free) {
  PfnSet seen;
  for (const Pfn page : notes.record_pages) {
    if (!free.Contains(page) || seen.Contains(page)) {
      return absl::StrFormat(
          "start_info or the notes lie in pfn 0x%x, which "
          "the notes %s; each needs a free page of its own",
          page.value(),
          seen.Contains(page) ? "name twice" : "do not call free");
    }
    seen.Add({page, PageCount(1)});
  }
  return "";
}

}  // namespace

absl::Status Guest::Encode(StateWriter& out, StopCheck stop) const {
  assert(foreign_.empty());
  PfnSet ram;
  uint64_t looks = 0;
  for (Pfn at(0); at < list_->p2m_size();) {
    if (++looks % kLooksPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const P2mRun run = list_->RunAt(at, list_->p2m_size(), P2mView::kResolved,
                                    RunMerge::kByClass);
    if (run.word.Class() == P2mClass::kRam) ram.Add(run.pfns);
    at = run.pfns.end();
  }
  out.Put(ram);
  SIMVISOR_RETURN_IF_ERROR(EncodeList(*list_, out, stop));
  out.Put(free_pages_.set());
  out.Put(at_boot_.remapped.value());
  out.Put(at_boot_.released.value());
  out.Put(at_boot_.extra_regions.size());
  for (const PfnExtent& region : at_boot_.extra_regions) out.Put(region);
  balloon_.Encode(out);
  if (processes_ != nullptr) processes_->Encode(out);
  out.Put(load_ != nullptr ? 1 : 0);
  if (load_ != nullptr) load_->Encode(out);
  return absl::OkStatus();
}

absl::StatusOr<Guest::Decoded> Guest::Decode(const Saved& saved, const Abi& abi,
                                             StateReader& in, StopCheck stop) {
  SIMVISOR_ASSIGN_OR_RETURN(
      ListOverWords made,
      DecodeList(abi, saved.config.p2m,
                 WordsOf(abi, saved.config, saved.ram, saved.end), in,
                 saved.faults));
  Decoded decoded;
  decoded.words = std::move(made.words);
  decoded.guest.reset(
      new Guest(saved.config, std::move(made.list), FreePages(saved.faults)));
  Guest& guest = *decoded.guest;
  guest.DecodeParts(saved, in);
  SIMVISOR_RETURN_IF_ERROR(in.status());
  SIMVISOR_RETURN_IF_ERROR(guest.CheckLeafPages(saved.notes.leaf_pages, stop));
  guest.FindKernelImage(saved.ram);
  // A last check, in case those of the fields missed something: the audit must
  // not find fault with the guest.
  std::vector<std::string> found;
  Findings findings(saved.id, found);
  guest.Check(PageCount(CountWords(*decoded.words).ram), findings);
  if (!found.empty()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
        absl::StrCat("save image: the kernel's notes: ", found.front()));
  }
  for (const auto& [first, end] : saved.ram.extents()) {
    decoded.words->Fill(decoded.words->PermitWhileNew(),
                        ExtentBetween(first, end), RangeFill::Missing());
  }
  return decoded;
}

void Guest::DecodeParts(const Saved& saved, StateReader& in) {
  DecodeFreePages(in);
  if (const std::string wrong = WrongRecordPage(saved.notes, free_pages_.set());
      !wrong.empty()) {
    in.Fail(wrong);
  }
  const uint64_t most = abi().max_domain_pages().value();
  at_boot_.remapped = PageCount(in.Get("remapped", most));
  at_boot_.released = PageCount(in.Get("released", most));
  DecodeExtraRegions(in);
  DecodeBalloon(saved, in);
  if (processes_ != nullptr && in.ok()) {
    const P2mList& list = *list_;
    const PfnSet& free = free_pages_.set();
    processes_->Decode(in, list.p2m_size(), [&list, &free](Pfn page) {
      return IsPlainRam(list, {page, PageCount(1)}) && !free.Contains(page);
    });
  }
  if (saved.last_of_notes ? in.ok() && !in.done() : in.GetFlag("load")) {
    DecodeLoad(in);
  }
  if (saved.last_of_notes && in.ok() && !in.done()) {
    in.Fail("more bytes follow; it is the last field");
  }
}

void Guest::DecodeFreePages(StateReader& in) {
  const PfnSet free = in.GetSet("free", list_->p2m_size());
  for (const auto& [first, last] : free.extents()) {
    const PfnExtent pages = ExtentBetween(first, last);
    if (!IsPlainRam(*list_, pages)) {
      in.Fail(
          absl::StrFormat("pfns [0x%x, 0x%x): one is not RAM, or holds the "
                          "p2m list",
                          first.value(), last.value()));
    }
    free_pages_.Return(pages);
  }
}

void Guest::DecodeExtraRegions(StateReader& in) {
  for (uint64_t n = in.GetCount("extra_regions", 2); n > 0 && in.ok(); --n) {
    const Pfn from = at_boot_.extra_regions.empty()
                         ? Pfn(0)
                         : at_boot_.extra_regions.back().end();
    at_boot_.extra_regions.push_back(
        in.GetPfns("extra_regions", from, list_->last_pfn()));
  }
  PfnSet all;
  for (const PfnExtent& region : at_boot_.extra_regions) all.Add(region);
  if (all.extents() != list_->extra_regions().extents()) {
    in.Fail("they are not p2m.extra, which says the same");
  }
}

void Guest::DecodeBalloon(const Saved& saved, StateReader& in) {
  const P2mList& list = *list_;
  std::optional<absl::Span<const PfnExtent>> less_room;
  if (saved.less_room) less_room = at_boot_.extra_regions;
  balloon_.Decode(
      in, list.last_pfn(),
      {.target = saved.target, .most_pages = abi().max_domain_pages()},
      less_room, [&list](PfnExtent pfns) {
        // The kernel's first MiB never goes into the balloon.
        return pfns.first >= Pfn(kKernelLowPages.value()) &&
               IsOf(list, P2mClass::kMissing, pfns);
      });
}

void Guest::DecodeLoad(StateReader& in) {
  std::optional<GuestLoad> load = GuestLoad::Decode(in, list_->p2m_size());
  if (!load.has_value()) return;
  for (const auto& [first, last] : load->pages().extents()) {
    const PfnExtent pages = ExtentBetween(first, last);
    if (IsPlainRam(*list_, pages) && !HoldsPageTables(pages) &&
        free_pages_.set().CountIn(pages) == PageCount(0)) {
      continue;
    }
    return in.Fail(absl::StrFormat(
        "pfns [0x%x, 0x%x): one is not RAM, is free, or holds the p2m list or "
        "a page table",
        first.value(), last.value()));
  }
  load_ = std::make_shared<GuestLoad>(*std::move(load));
}

void Guest::FindKernelImage(const PfnSet& ram) {
  kernel_image_ = ram;
  const auto remove = [this](PfnExtent pages) { kernel_image_.Remove(pages); };
  remove({Pfn(0), kKernelLowPages});
  list_->structure().ForEach(remove);
  if (processes_ != nullptr) processes_->ForEachPage(remove);
  for (const auto& [first, end] : free_pages_.set().extents()) {
    remove(ExtentBetween(first, end));
  }
  if (load_ == nullptr) return;
  for (const auto& [first, end] : load_->pages().extents()) {
    remove(ExtentBetween(first, end));
  }
}

absl::Status Guest::CheckLeafPages(absl::Span<const uint64_t> pages,
                                   StopCheck stop) const {
  for (uint64_t leaf = 0; leaf < pages.size(); ++leaf) {
    if (leaf % kLooksPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const Pfn noted = list_->shape().LeafPageAt(leaf);
    if (noted == Pfn(pages[leaf])) continue;
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
        absl::StrFormat("save image: the kernel's notes have leaf %d of the "
                        "p2m list in pfn 0x%x; X86_PV_P2M_FRAMES has it in "
                        "pfn 0x%x",
                        leaf, noted.value(), pages[leaf]),
        {{fact::kValue, Hex(noted.value())}});
  }
  return absl::OkStatus();
}

}  // namespace simvisor
