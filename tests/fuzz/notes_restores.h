// Restores guests from notes with changed fields, and checks that each is
// either refused or a guest like any other.
//
// The bytes choose one of a few guests that a host made, and then how to change
// the numbers in its kernel's notes: extremes, steps up and down, copies,
// swaps, items removed or repeated, an early end.  Pages and start_info stay as
// they were.

#ifndef SIMVISOR_TESTS_FUZZ_NOTES_RESTORES_H_
#define SIMVISOR_TESTS_FUZZ_NOTES_RESTORES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/types/span.h"

namespace simvisor {

struct NotesOutcome {
  bool accepted = false;
  // What went wrong, except refusals: an audit with findings, a call that does
  // not end within its steps, a guest that is not the same after a save and a
  // restore, frames that are left behind.
  std::optional<std::string> wrong;
};

NotesOutcome RestoreChangedNotes(absl::Span<const uint8_t> bytes);

// The number of guests: the first byte modulo this chooses one.
size_t NotesGuests();

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_NOTES_RESTORES_H_
