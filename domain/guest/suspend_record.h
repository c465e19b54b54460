// What a suspended guest leaves beside its memory, and what an image says about
// a guest's memory and kernel.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_GUEST_SUSPEND_RECORD_H_
#define SIMVISOR_DOMAIN_GUEST_SUSPEND_RECORD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/frames/page_store.h"
#include "domain/p2m/p2m_options.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

// What a guest leaves when it suspends.  For what an image must have beside
// memory, the kernel takes free pages that hold nothing; they are free again
// when the guest resumes, here or elsewhere.  The saver writes their contents.
struct SuspendRecord {
  // The number of this suspension, for DomainMigration::Resume().
  uint64_t suspension = 0;
  Arch arch = Arch::kX86_64;
  uint32_t vcpus = 1;
  // Pages that the guest has at pfns; frames in no word do not travel.
  PageCount pages;
  ToolsRoot tools;      // shared info
  Pfn last_pfn;         // arch.max_pfn of shared info, a count
  uint64_t generation;  // arch.p2m_generation
  Pfn start_info;
  Pfn store;
  Pfn console;
  Pfn gdt;
  // Page tables that map start_info, from the root down, one of each level.  In
  // the linear view only the root, which maps the p2m list.
  std::vector<Pfn> tables;
  // Pages of the notes, in order, and what the kernel noted about itself.
  std::vector<Pfn> notes_pages;
  std::string notes;

  // Bytes of the notes in each of their pages; the rest links them.
  static constexpr uint64_t kNotesPerPage = kPageSize - 8;
};

// What an image says about a guest's kernel: its notes, and other records of
// the same facts, so that they can be compared.
struct GuestNotes {
  absl::string_view bytes;  // SuspendRecord::notes
  // Pages of the record, which hold nothing for the guest.
  absl::Span<const Pfn> record_pages = {};
  // nr_pages of start_info; nullopt if the image has no start_info.
  std::optional<PageCount> pages = std::nullopt;
  // Virtual CPUs that have a context; nullopt if the image has no contexts.
  std::optional<uint32_t> vcpus = std::nullopt;
  // Pages of the p2m list's leaves, from the first on; empty if the image does
  // not name them.
  absl::Span<const uint64_t> leaf_pages = {};
};

// What an image says about pfns that follow each other.
struct ImageRun {
  enum class Kind {
    kAbsent,  // no frame: ballooned, a hole, identity
    kZero,    // a frame that was never written
    kData,    // one frame, with `data`
  };
  PfnExtent pfns;
  Kind kind = Kind::kAbsent;
  int table_level = 0;  // 1 to 4 for a page table, whose entries name mfns
  bool pinned = false;
  std::unique_ptr<Page> data;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_SUSPEND_RECORD_H_
