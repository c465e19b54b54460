#include "domain/guest/guest.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/guest/guest_boot.h"

namespace simvisor {

Guest::Guest(GuestConfig config, std::unique_ptr<P2mList> list,
             FreePages free_pages)
    : config_(std::move(config)),
      list_(std::move(list)),
      free_pages_(std::move(free_pages)),
      balloon_(list_->abi(), config_.balloon_max_retry) {
  if (abi().arch != Arch::kX86_32Pae) return;
  processes_ = std::make_unique<AddressSpaces>(config_.pae_kernel, *list_);
  list_->SetPmdListener(processes_.get());
}

Guest::~Guest() {
  list_->SetPmdListener(nullptr);
  // A boot that runs out of the daemon's memory leaves no guest.
  if (memory_ != nullptr) memory_->ForgetKernelPages(this);
}

absl::StatusOr<std::unique_ptr<Guest>> Guest::Boot(const Context& context,
                                                   BuiltImage& image,
                                                   GuestMemory& memory,
                                                   Hypercalls& hypercalls) {
  // A real kernel that cannot get a page before its memory allocator is up
  // stops for good.  Here all pages are settled first, so that the domain stays
  // as it was instead.  A found image may lack the page that only marks need,
  // since marks are refused then.
  FreePages& free = image.free_pages_;
  const PageCount needed = std::max(
      image.PagesInPlan(), std::min(image.PagesStillToBoot(), free.count()));
  BootResult booted;
  {
    const FreePages::Settled pages(free, needed);
    const PageCount got = std::min(pages.count(), free.count());
    if (got < needed) {
      return context.As("boot").Refuse(
          absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
          "",
          absl::StrFormat(
              "its guest needs %d pages for its p2m list and got "
              "%d; %s or create it with more memory",
              needed.value(), got.value(),
              free.count() < needed ? "leave more pages free" : "try again"),
          {{fact::kRequested, needed.value()},
           {fact::kAvailable, got.value()},
           {fact::kUnit, "pages"}});
    }
    const GuestConfig& config = image.plan_.config;
    SIMVISOR_ASSIGN_OR_RETURN(
        booted,
        BootGuest(hypercalls.permit(), std::move(image.list_),
                  image.plan_.setup, config.p2m, config.HotplugLimit(), free));
  }
  std::unique_ptr<Guest> guest(new Guest(
      std::move(image.plan_.config), std::move(booted.list), std::move(free)));
  guest->kernel_image_ = std::move(image.used_);
  guest->Attach(memory);
  memory.SetKernelPages(guest.get());
  for (const BootResult::MovedFrames& moved : booted.moved) {
    hypercalls.MachphysUpdate(moved.frames, moved.first);
    guest->at_boot_.remapped += moved.frames.count;
    guest->free_pages_.Return({moved.first, moved.frames.count});
  }
  const PageCount before = hypercalls.CurrentReservation();
  hypercalls.DecreaseReservation(booted.released);
  guest->at_boot_.released = before - hypercalls.CurrentReservation();
  for (const auto& [first, end] : guest->list_->extra_regions().extents()) {
    guest->at_boot_.extra_regions.push_back(ExtentBetween(first, end));
    guest->balloon_.list().Push(guest->at_boot_.extra_regions.back());
  }
  guest->balloon_.Start(hypercalls.CurrentReservation());
  return guest;
}

void Guest::Attach(GuestMemory& memory) {
  assert(&memory.words() == &list_->words());
  memory_ = &memory;
}

void Guest::ForgetStoredPages(absl::Span<const Pfn> record_pages) {
  PfnSet pages;
  for (const Pfn pfn : record_pages) pages.Add({pfn, PageCount(1)});
  list_->structure().ForEach([&](PfnExtent pfns) { pages.Add(pfns); });
  if (processes_ != nullptr) {
    processes_->ForEachPage([&](PfnExtent pfns) { pages.Add(pfns); });
  }
  memory_->Zero(pages);
}

void Guest::Forget() {
  list_->SetPmdListener(nullptr);
  processes_ = nullptr;
  load_ = nullptr;
}

bool Guest::Render(Pfn pfn, absl::Span<char> page) const {
  if (list_->Render(pfn, page)) return true;
  return processes_ != nullptr && processes_->RenderPage(pfn, page);
}

Pfn Guest::NextFrom(Pfn pfn) const {
  const Pfn next = list_->structure().NextFrom(pfn);
  return processes_ == nullptr ? next
                               : std::min(next, processes_->NextPageFrom(pfn));
}

int Guest::TableLevel(Pfn pfn) const {
  const int level = list_->TableLevel(pfn);
  return level > 0 || processes_ == nullptr ? level
                                            : processes_->TableLevel(pfn);
}

}  // namespace simvisor
