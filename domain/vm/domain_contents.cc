#include "domain/vm/domain_contents.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Calls visit(pfn, offset, part) for the part of `data` in each page, where
// `data` starts at byte `offset` of `pfn`.
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

absl::Status CheckIsRam(const Context& context, Pfn pfn, P2mWord word) {
  if (word.Class() == P2mClass::kRam) return absl::OkStatus();
  const std::string at = absl::StrFormat("at pfn 0x%x", pfn.value());
  if (word.Class() == P2mClass::kForeign) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam, at,
        absl::StrFormat(
            "it is foreign: it maps mfn 0x%x, another domain's frame; name "
            "the page to its owner, or see frames read",
            word.Number()),
        {{fact::kValue, Hex(pfn.value())}});
  }
  return context.Refuse(absl::StatusCode::kFailedPrecondition,
                        Reason::kPfnNotRam, at,
                        absl::StrFormat("it is %s, not RAM; see p2m dump",
                                        P2mClassName(word.Class())),
                        {{fact::kValue, Hex(pfn.value())}});
}

absl::Status CheckMayWrite(const Context& context, Pfn pfn,
                           const GuestMemory& memory) {
  const PfnExtent page = {pfn, PageCount(1)};
  const bool list = memory.list_pages().Intersects(page);
  if (!list && !memory.HoldsPageTables(page)) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kPageInUseByKernel,
      absl::StrFormat("at pfn 0x%x", pfn.value()),
      list ? "the guest keeps its p2m list there; choose another page"
           : "a process of the guest has a page table there; choose another "
             "page",
      {{fact::kValue, Hex(pfn.value())}});
}

absl::Status CheckPages(const Context& context, Pfn pfn, uint64_t offset,
                        uint64_t size, const GuestMemory& memory,
                        bool writing) {
  if (offset >= kPageSize || size == 0) {
    return context.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrFormat("of %d bytes at pfn 0x%x offset %d", size, pfn.value(),
                        offset),
        absl::StrFormat("name at least one byte and an offset below %d",
                        kPageSize),
        {{fact::kValue, offset}, {fact::kLimit, kPageSize}});
  }
  const P2mWords& words = memory.words();
  const PageCount pages((offset + size + kPageSize - 1) / kPageSize);
  if (!FitsWithin(pfn, pages, words.size())) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kPfnNotRam,
        absl::StrFormat("of %d pages from pfn 0x%x", pages.value(),
                        pfn.value()),
        absl::StrFormat("the p2m list ends at pfn 0x%x", words.size().value()),
        {{fact::kValue, Hex(pfn.value())},
         {fact::kLimit, Hex(words.size().value())}});
  }
  for (Pfn at = pfn; at < pfn + pages; at += PageCount(1)) {
    SIMVISOR_RETURN_IF_ERROR(CheckIsRam(context, at, words.Lookup(at)));
    if (writing) SIMVISOR_RETURN_IF_ERROR(CheckMayWrite(context, at, memory));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DomainContents::Read(Pfn pfn, uint64_t offset,
                                  absl::Span<char> out) const {
  return domain_.Look(
      "read", Needs::kAlive,
      [&](const Parts& on, const Context& context) -> absl::Status {
        SIMVISOR_RETURN_IF_ERROR(CheckPages(context, pfn, offset, out.size(),
                                            on.memory, /*writing=*/false));
        Pfn at = pfn;
        uint64_t from = offset;
        for (absl::Span<char> rest = out; !rest.empty();) {
          const size_t n = std::min<uint64_t>(rest.size(), kPageSize - from);
          on.memory.Read(at, from, rest.subspan(0, n));
          rest.remove_prefix(n);
          at += PageCount(1);
          from = 0;
        }
        return absl::OkStatus();
      });
}

absl::Status DomainContents::Write(const Operation& operation, Pfn pfn,
                                   uint64_t offset,
                                   absl::string_view data) const {
  return domain_.Change(
      operation, Needs::kNotSuspended,
      [&](ChangeScope& change) -> absl::Status {
        change.ShowNothing();
        const Context& context = change.context();
        GuestMemory& memory = change.parts().memory;
        SIMVISOR_RETURN_IF_ERROR(CheckPages(context, pfn, offset, data.size(),
                                            memory, /*writing=*/true));
        size_t new_pages = 0;
        ForEachPage(pfn, offset, data,
                    [&](Pfn at, uint64_t, absl::string_view part) {
                      new_pages += memory.TakesPage(at, part) ? 1 : 0;
                    });
        std::vector<PagePtr> spare;
        if (new_pages > 0) {
          const absl::Status taken =
              change.pool().store()->Take(new_pages, spare);
          if (!taken.ok()) return context.Within(taken);
        }
        ForEachPage(pfn, offset, data,
                    [&](Pfn at, uint64_t from, absl::string_view part) {
                      memory.Write(at, from, part, spare);
                    });
        return absl::OkStatus();
      });
}

absl::Status DomainContents::ReadFrame(Mfn mfn, absl::Span<char> page,
                                       bool* zero) const {
  return domain_.Peek([&](const Parts& on) -> absl::Status {
    const FramePool& pool = domain_.pool();
    // Under the domain's lock its frames cannot change hands, except held
    // frames, which may go at any time.
    if (pool.ReadHeld(mfn, domain_.id(), page, zero)) return absl::OkStatus();
    const FrameRun run = pool.Lookup(mfn);
    if (run.state != FrameState::kOwned || run.owner != domain_.id()) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kFrameNotReadable,
          absl::StrFormat("read of mfn 0x%x: it is no longer a frame of %s; "
                          "look it up again",
                          mfn.value(), domain_.identity().ToString()),
          {{fact::kValue, Hex(mfn.value())}});
    }
    on.memory.ReadFrame(mfn, run.first_pfn, page, zero);
    return absl::OkStatus();
  });
}

}  // namespace simvisor
