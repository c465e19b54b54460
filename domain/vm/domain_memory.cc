// What a domain's pages hold: its guest's writes, and the pages of its p2m
// list and of its page tables, whose content follows from these.

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Calls visit(pfn, offset, part) for the parts of `data` in each page that it
// goes to, from byte `offset` of `pfn` on.
template <typename Visit>
void ForEachPage(Pfn pfn, uint64_t offset, absl::string_view data,
                 Visit visit) {
  while (!data.empty()) {
    const size_t n = std::min<uint64_t>(data.size(), kPageSize - offset);
    visit(pfn, offset, data.substr(0, n));
    data.remove_prefix(n);
    pfn += PageCount(1);
    offset = 0;
  }
}

}  // namespace

absl::Status Domain::CheckPages(absl::string_view operation, Pfn pfn,
                                uint64_t offset, uint64_t size,
                                bool writing) const {
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  if (offset >= kPageSize || size == 0) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("domain %d: %s of %d bytes at pfn 0x%x offset %d: name "
                        "at least one byte and an offset below %d",
                        id_.value(), operation, size, pfn.value(), offset,
                        kPageSize));
  }
  const PageCount pages((offset + size + kPageSize - 1) / kPageSize);
  if (!FitsWithin(pfn, pages, words_->size())) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam,
        absl::StrFormat("domain %d: %s of %d pages from pfn 0x%x: the p2m list "
                        "ends at pfn 0x%x",
                        id_.value(), operation, pages.value(), pfn.value(),
                        words_->size().value()));
  }
  for (Pfn at = pfn; at < pfn + pages; at += PageCount(1)) {
    const P2mWord word = words_->Lookup(at);
    if (word.Class() == P2mClass::kForeign) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam,
          absl::StrFormat("domain %d: %s at pfn 0x%x: it is foreign: it maps "
                          "mfn 0x%x, another domain's frame; name the page to "
                          "its owner, or see frames read",
                          id_.value(), operation, at.value(), word.Number()));
    }
    if (word.Class() != P2mClass::kRam) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam,
          absl::StrFormat("domain %d: %s at pfn 0x%x: it is %s, not RAM; see "
                          "p2m dump",
                          id_.value(), operation, at.value(),
                          P2mClassName(word.Class())));
    }
    if (writing && structure().Find(at).has_value()) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
          absl::StrFormat("domain %d: %s at pfn 0x%x: the guest keeps its p2m "
                          "list there; choose another page",
                          id_.value(), operation, at.value()));
    }
    if (writing && HoldsPageTables({at, PageCount(1)})) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
          absl::StrFormat("domain %d: %s at pfn 0x%x: a process of the guest "
                          "has a page table there; choose another page",
                          id_.value(), operation, at.value()));
    }
  }
  return absl::OkStatus();
}

absl::Status Domain::ReadMemory(Pfn pfn, uint64_t offset,
                                absl::Span<char> out) const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckPages("read", pfn, offset, out.size(),
                                      /*writing=*/false));
  Page page;
  while (!out.empty()) {
    const size_t n = std::min<uint64_t>(out.size(), kPageSize - offset);
    if (RenderKernelPage(pfn, absl::MakeSpan(page))) {
      std::copy_n(page.begin() + offset, n, out.begin());
    } else {
      contents_.Read(Mfn(words_->Lookup(pfn).Number()), offset,
                     out.subspan(0, n));
    }
    out.remove_prefix(n);
    pfn += PageCount(1);
    offset = 0;
  }
  return absl::OkStatus();
}

absl::Status Domain::WriteMemory(Pfn pfn, uint64_t offset,
                                 absl::string_view data) {
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended("write"));
  SIMVISOR_RETURN_IF_ERROR(CheckPages("write", pfn, offset, data.size(),
                                      /*writing=*/true));
  size_t new_pages = 0;
  ForEachPage(pfn, offset, data,
              [&](Pfn at, uint64_t, absl::string_view part)
                  ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    new_pages += TakesPage(at, part) ? 1 : 0;
                  });
  std::vector<PagePtr> spare;
  SIMVISOR_RETURN_IF_ERROR(TakeSpare("write", new_pages, spare));
  ForEachPage(pfn, offset, data,
              [&](Pfn at, uint64_t from, absl::string_view part)
                  ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    WriteContent(at, from, part, spare);
                  });
  return absl::OkStatus();
}

absl::Status Domain::TakeSpare(absl::string_view operation, size_t count,
                               std::vector<PagePtr>& spare) {
  if (count == 0) return absl::OkStatus();
  return pool_.store()->Take(id_, operation, count, spare);
}

bool Domain::TakesPage(Pfn pfn, absl::string_view data) const {
  return contents_.TakesPage(Mfn(words_->Lookup(pfn).Number()), data);
}

bool Domain::HasContent(Pfn pfn) const {
  return contents_.Find(Mfn(words_->Lookup(pfn).Number())) != nullptr;
}

void Domain::WriteContent(Pfn pfn, uint64_t offset, absl::string_view data,
                          std::vector<PagePtr>& spare) {
  contents_.Write(Mfn(words_->Lookup(pfn).Number()), offset, data, spare);
  dirty_.Mark({pfn, PageCount(1)});
}

absl::Status Domain::ReadFrame(Mfn mfn, absl::Span<char> page,
                               bool* zero) const {
  absl::ReaderMutexLock lock(&mu_);
  // Under the domain's lock its frames cannot change hands, but those go that
  // are held for others.
  if (pool_.ReadHeld(mfn, id_, page, zero)) return absl::OkStatus();
  const FrameRun run = pool_.Lookup(mfn);
  if (run.state != FrameState::kOwned || run.owner != id_) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kFrameNotReadable,
        absl::StrFormat("read of mfn 0x%x: it is no longer a frame of domain "
                        "%d; look it up again",
                        mfn.value(), id_.value()));
  }
  *zero = false;
  if (!run.first_pfn.is_none() && RenderKernelPage(run.first_pfn, page)) {
    return absl::OkStatus();
  }
  const Page* content = contents_.Find(mfn);
  *zero = content == nullptr;
  if (content != nullptr)
    std::copy(content->begin(), content->end(), page.begin());
  return absl::OkStatus();
}

PagePtr Domain::TakeContent(Mfn mfn, Pfn pfn) {
  // Most frames are no kernel page and were never written: nothing is allocated
  // for them.
  Page page;
  if (!pfn.is_none() && RenderKernelPage(pfn, absl::MakeSpan(page))) {
    PagePtr copy = pool_.store()->TakeAnyway();
    *copy = page;
    return copy;
  }
  return contents_.Take(mfn);
}

}  // namespace simvisor
