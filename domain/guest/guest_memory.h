// The memory of a domain as the hypervisor knows it: which frame is at which
// pfn, what the frames hold, and what has changed.
//
// It is there before the guest: until a guest has booted, its words are the
// inverted m2p; afterwards they are the words of the guest's p2m list.  Every
// store to a page of the guest goes through Write(), Zero() or MarkDirty(), and
// so into the dirty log.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.  The
// words synchronise lookups themselves; see P2mWords.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_MEMORY_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_MEMORY_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/collections/extent_set.h"
#include "domain/frames/page_contents.h"
#include "domain/frames/page_store.h"
#include "domain/guest/dirty_log.h"
#include "domain/guest/kernel_pages.h"
#include "domain/guest/suspend_record.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/structure_pages.h"
#include "domain/units/units.h"

namespace simvisor {

class GuestMemory {
 public:
  // Memory without pages.  Contents are stored in pages of `store`.
  GuestMemory(std::unique_ptr<P2mWords> words,
              std::shared_ptr<PageStore> store);
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  P2mWords& words() { return *words_; }
  const P2mWords& words() const { return *words_; }
  // Replaces the words, to make room for a larger list.
  // REQUIRES: there are neither kernel pages, contents nor unplaced frames;
  // neither the old nor the new words have a RAM word; no thread looks words up
  // now.
  void ReplaceWords(std::unique_ptr<P2mWords> words);

  // Sets the source of computed pages, which is borrowed; null if no page is
  // computed.
  void SetKernelPages(const KernelPages* pages) { kernel_pages_ = pages; }
  // Stops computing pages if `pages` is the present source.
  void ForgetKernelPages(const KernelPages* pages) {
    if (kernel_pages_ == pages) kernel_pages_ = nullptr;
  }
  // The pages that hold the p2m list; empty without a list.
  const StructurePages& list_pages() const;
  bool HoldsPageTables(PfnExtent pfns) const {
    return kernel_pages_ != nullptr && kernel_pages_->HoldsPageTables(pfns);
  }

  // Copies bytes of RAM page `pfn` from `offset` on.
  // REQUIRES: offset + out.size() <= kPageSize.
  void Read(Pfn pfn, uint64_t offset, absl::Span<char> out) const;
  // Overwrites bytes of a RAM page that is not a kernel page.  Takes a page of
  // `spare` if TakesPage().
  // REQUIRES: offset + data.size() <= kPageSize; `spare` is not empty if
  // TakesPage().
  void Write(Pfn pfn, uint64_t offset, absl::string_view data,
             std::vector<PagePtr>& spare);
  // The same without noting it in the dirty log: a store of a device, which was
  // noted when its mapping was granted.
  void WriteUnmarked(Pfn pfn, uint64_t offset, absl::string_view data,
                     std::vector<PagePtr>& spare);
  bool TakesPage(Pfn pfn, absl::string_view data) const;
  // Whether RAM page `pfn` has stored content.
  bool IsWritten(Pfn pfn) const;
  // Drops the content of `pages`, which the kernel has zeroed.
  void Zero(const PfnSet& pages);

  // Notes that the content or the frame of `pfns` has changed.
  void MarkDirty(PfnExtent pfns) { dirty_.Mark(pfns); }
  DirtyLog& dirty() { return dirty_; }
  const DirtyLog& dirty() const { return dirty_; }

  // Copies what frame `mfn` holds.  `pfn` is where it is, or None() for a frame
  // in no word.  Sets *zero instead of filling `page` if every byte is 0.
  void ReadFrame(Mfn mfn, Pfn pfn, absl::Span<char> page, bool* zero) const;
  // Takes the content out of a frame that is about to be held; null if every
  // byte is 0.
  PagePtr TakeContent(Mfn mfn, Pfn pfn);
  // Drops the content of the frames.
  void Drop(absl::Span<const MfnExtent> frames);
  // Gives frame `mfn` its content.
  // REQUIRES: it has no content yet.
  void Put(Mfn mfn, PagePtr page) { contents_.Put(mfn, std::move(page)); }

  // What an image says about pfns from `at` on, at least one of them.
  // REQUIRES: at < end.
  ImageRun RunForImage(Pfn at, Pfn end) const;

  // Frames of the domain that are in no word.
  MfnSet& unplaced() { return unplaced_; }
  const MfnSet& unplaced() const { return unplaced_; }

 private:
  bool Render(Pfn pfn, absl::Span<char> page) const {
    return kernel_pages_ != nullptr && kernel_pages_->Render(pfn, page);
  }
  Mfn FrameAt(Pfn pfn) const { return Mfn(words_->Lookup(pfn).Number()); }

  std::unique_ptr<P2mWords> words_;
  const std::shared_ptr<PageStore> store_;  // outlives contents_
  PageContents contents_;
  const KernelPages* kernel_pages_ = nullptr;
  DirtyLog dirty_;
  MfnSet unplaced_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_MEMORY_H_
