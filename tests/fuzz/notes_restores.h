// Restores guests from notes whose fields were changed, and sees that each is
// either refused or a guest like any other.
//
// The bytes choose one of a few guests that a host made, and then what becomes
// of the numbers in its kernel's notes: extremes, steps up and down, copies,
// swaps, items that go or come twice, an early end.  Pages, and what start_info
// says, stay as they were.

#ifndef SIMVISOR_TESTS_FUZZ_NOTES_RESTORES_H_
#define SIMVISOR_TESTS_FUZZ_NOTES_RESTORES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"

namespace simvisor {

struct NotesOutcome {
  bool accepted = false;
  // What went wrong, if anything but a refusal did: an audit that has findings,
  // a call that does not end within its steps, a guest that cannot be saved and
  // restored to the same, frames that are left behind.
  std::optional<std::string> wrong;
};

NotesOutcome RestoreChangedNotes(absl::Span<const uint8_t> bytes);

// How many guests there are to choose from: the first byte modulo this.
size_t NotesGuests();

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_NOTES_RESTORES_H_
