// The guests whose notes are changed, with their pages as in an image.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_FUZZ_NOTES_GUESTS_H_
#define SIMVISOR_TESTS_FUZZ_NOTES_GUESTS_H_

#include <memory>
#include <vector>

#include "domain/guest/suspend_record.h"
#include "domain/host/host.h"
#include "domain/host/incoming_domain.h"
#include "domain/vm/domain.h"

namespace simvisor {

inline constexpr uint64_t kFuzzHostPages = 8000;
inline constexpr uint64_t kFuzzDom0Pages = 1000;

std::unique_ptr<Host> MakeFuzzHost();

// A guest that was suspended, as an image has it.
struct NotesGuest {
  DomainSpec spec;
  SuspendRecord record;
  std::vector<uint64_t> numbers;  // of the notes
  std::vector<ImageRun> runs;     // of all pfns
  std::vector<Pfn> record_pages;
  std::vector<uint64_t> leaf_pages;
};

// Each architecture and view, with what a guest can have: a balloon, identity
// words, processes, a load.  Made once.
const std::vector<NotesGuest>& NotesGuestsMade();

// Sends its pages to `host`; null if the host has no room.
std::unique_ptr<IncomingDomain> SendGuest(const NotesGuest& guest, Host& host);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_NOTES_GUESTS_H_
