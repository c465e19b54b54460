// What a kernel's notes say after the guest, from version 3 on: sections, each
// with a tag and a length.  A daemon skips sections with an even tag that it
// does not know, and refuses notes with an odd one, without which their guest
// would be another.
//
// Thread safety: pure functions of their arguments.

#ifndef SIMVISOR_DOMAIN_GUEST_NOTES_SECTIONS_H_
#define SIMVISOR_DOMAIN_GUEST_NOTES_SECTIONS_H_

#include <cstdint>

#include "domain/collections/state_codec.h"
#include "domain/guest/mapping_epoch.h"

namespace simvisor {

// What the sections say, with what counts without them.
struct NotesSections {
  uint64_t mapping_epoch = kFirstMappingEpoch;  // tag 2
};

void EncodeSections(const NotesSections& sections, StateWriter& out);

// Reads the sections and that nothing follows them.  Fails `in` if there are
// more than 64, their tags do not ascend, one is longer than what is left, an
// odd tag is not known, or a field does not fill its section; the result is
// meaningless then.
NotesSections DecodeSections(StateReader& in);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_NOTES_SECTIONS_H_
