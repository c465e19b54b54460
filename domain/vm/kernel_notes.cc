#include "domain/vm/kernel_notes.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/guest/config_notes.h"
#include "domain/guest/notes_sections.h"
#include "domain/vm/domain_types.h"

namespace simvisor {
namespace {

constexpr uint64_t kNotesVersion = 3;
// Notes of earlier versions end with the guest's load, or without one.
constexpr uint64_t kFirstVersionWithSections = 3;
// Notes of the first version say nothing about batches of the balloon list, and
// their drivers took room off their figures.
constexpr uint64_t kFirstNotesVersion = 1;

// Fails `in`, which has read `ram`, unless a page was received for each pfn of
// it.
void CheckReceived(const PfnSet& ram, const PfnSet& received, StateReader& in) {
  if (in.ok() && ram.empty()) in.Fail("no page; a guest has some");
  for (const auto& [first, end] : ram.extents()) {
    const PageCount got = received.CountIn(ExtentBetween(first, end));
    if (got == end - first) continue;
    in.Fail(absl::StrFormat(
        "pfns [0x%x, 0x%x) are RAM, but pages were sent for only %d of them",
        first.value(), end.value(), got.value()));
    return;
  }
}

uint32_t DecodeVcpus(StateReader& in, const GuestNotes& notes) {
  const auto vcpus = static_cast<uint32_t>(in.Get("vcpus", 1, kMaxVcpus));
  if (vcpus != notes.vcpus.value_or(vcpus)) {
    in.Fail(absl::StrFormat("%d; the image has contexts of %d", vcpus,
                            *notes.vcpus));
  }
  return vcpus;
}

PfnSet DecodeRam(StateReader& in, const GuestNotes& notes,
                 const NotesInput& input) {
  // Pages that the guest ballooned out after they were sent do not come back.
  PfnSet ram = in.GetSet("ram", input.end);
  CheckReceived(ram, input.received, in);
  if (const PageCount pages = ram.size();
      pages != notes.pages.value_or(pages)) {
    in.Fail(absl::StrFormat("%d pages; nr_pages of start_info is %d",
                            pages.value(), notes.pages->value()));
  }
  return ram;
}

}  // namespace

absl::StatusOr<std::string> EncodeNotes(const Parts& on, uint32_t vcpus,
                                        StopCheck stop) {
  assert(on.guest() != nullptr);
  StateWriter out;
  out.Put(kNotesVersion);
  EncodeConfig(on.guest()->config(), out);
  out.Put(vcpus);
  on.reservation.Encode(out);
  SIMVISOR_RETURN_IF_ERROR(on.guest()->Encode(out, stop));
  EncodeSections({.mapping_epoch = on.mapping_epoch}, out);
  return out.bytes();
}

absl::StatusOr<NotedGuest> DecodeNotes(const GuestNotes& notes,
                                       const NotesInput& input,
                                       StopCheck stop) {
  StateReader in(notes.bytes, stop);
  const uint64_t version = in.Get("version", kFirstNotesVersion, kNotesVersion);
  const bool has_sections = version >= kFirstVersionWithSections;
  GuestConfig config = DecodeConfig(in, *input.abi);
  const uint32_t vcpus = DecodeVcpus(in, notes);
  NotedGuest noted = {.ram = {},
                      .vcpus = vcpus,
                      .limits = Reservation::Decode(in, *input.abi),
                      .words = nullptr,
                      .guest = nullptr};
  noted.ram = DecodeRam(in, notes, input);
  SIMVISOR_RETURN_IF_ERROR(in.status());
  SIMVISOR_ASSIGN_OR_RETURN(
      Guest::Decoded decoded,
      Guest::Decode({.id = input.id,
                     .config = std::move(config),
                     .ram = noted.ram,
                     .end = input.end,
                     .target = noted.limits.target(),
                     .less_room = version == kFirstNotesVersion,
                     .last_of_notes = !has_sections,
                     .notes = notes,
                     .faults = input.faults},
                    *input.abi, in, stop));
  if (has_sections) noted.mapping_epoch = DecodeSections(in).mapping_epoch;
  SIMVISOR_RETURN_IF_ERROR(in.status());
  noted.words = std::move(decoded.words);
  noted.guest = std::move(decoded.guest);
  return noted;
}

}  // namespace simvisor
