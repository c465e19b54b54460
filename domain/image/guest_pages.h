// The structures of a suspended guest that an image carries besides its memory.
//
// All pages are named by pfn, as in an image.  After the fields that Xen
// defines, start_info says where the kernel's notes are (SuspendRecord); a
// restorer that does not know them treats them as ordinary bytes of the guest.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_IMAGE_GUEST_PAGES_H_
#define SIMVISOR_DOMAIN_IMAGE_GUEST_PAGES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "domain/frames/page_contents.h"
#include "domain/guest/suspend_record.h"
#include "domain/units/units.h"

namespace simvisor {

// What start_info says about the notes, and what the notes must agree with.
struct NotesPlace {
  bool magic = false;  // whether it is the magic of the architecture
  PageCount pages;     // nr_pages
  Pfn store;
  Pfn console;
  uint64_t bytes = 0;
  Pfn first;  // first page
  // The record's other pages with content: how many start_info names, and their
  // pfns, at most as many as a record can have.
  uint64_t other_pages = 0;
  std::vector<Pfn> record_pages;
};

// start_info as the guest leaves it, including the place of its notes.
Page MakeStartInfo(const SuspendRecord& record);
// nullopt if the page does not name notes.
std::optional<NotesPlace> FindNotes(Arch arch,
                                    absl::Span<const char> start_info);

// The i-th page of the notes.
// REQUIRES: i < notes_pages.size().
Page MakeNotesPage(const SuspendRecord& record, size_t i);

// The table at record.tables[i] that leads to start_info; in the tree view.
Page MakeTable(const SuspendRecord& record, size_t i);

// vcpu_guest_context; its size follows from the architecture.
std::string MakeContext(const SuspendRecord& record);
// shared_info as the domain had it when it suspended.
Page MakeSharedInfo(const SuspendRecord& record);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_GUEST_PAGES_H_
