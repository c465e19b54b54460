#include "domain/guest/notes_sections.h"

#include <cstddef>
#include <limits>

#include "absl/strings/str_format.h"

namespace simvisor {
namespace {

constexpr uint64_t kMaxSections = 64;
constexpr uint64_t kMappingEpochTag = 2;

void PutSection(uint64_t tag, const StateWriter& content, StateWriter& out) {
  out.Put(tag);
  out.Put(content.bytes().size());
  out.Append(content);
}

// Reads the content of a section, whose tag is at `place`.
void DecodeContent(uint64_t tag, const StateReader::Place& place, size_t length,
                   NotesSections& sections, StateReader& in) {
  if (tag == kMappingEpochTag) {
    sections.mapping_epoch =
        in.Get("section.epoch", 1, std::numeric_limits<uint64_t>::max());
  } else if (tag % 2 == 0) {
    in.Skip(length);
  } else {
    in.Fail(place, absl::StrFormat(
                       "%d; this version of simvisor does not know it, and a "
                       "guest needs what odd tags say",
                       tag));
  }
}

}  // namespace

void EncodeSections(const NotesSections& sections, StateWriter& out) {
  StateWriter epoch;
  epoch.Put(sections.mapping_epoch);
  out.Put(1);
  PutSection(kMappingEpochTag, epoch, out);
}

NotesSections DecodeSections(StateReader& in) {
  NotesSections sections;
  uint64_t least_tag = 1;
  for (uint64_t n = in.Get("sections", kMaxSections); n > 0 && in.ok(); --n) {
    const uint64_t tag =
        in.Get("section.tag", least_tag, std::numeric_limits<uint64_t>::max());
    least_tag = tag + 1;
    const StateReader::Place place = in.last();
    const uint64_t length = in.Get("section.length");
    if (length > in.left()) {
      in.Fail(absl::StrFormat("%d bytes; %d follow", length, in.left()));
    }
    if (!in.ok()) break;
    const size_t end = in.left() - length;
    DecodeContent(tag, place, length, sections, in);
    if (in.ok() && in.left() != end) {
      in.Fail(absl::StrFormat(
          "it does not fill the %d bytes of section %d, or goes on after them",
          length, tag));
    }
  }
  if (in.ok() && !in.done()) in.Fail("more bytes follow; it is the last field");
  return sections;
}

}  // namespace simvisor
