// The state of a range of frames.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_FRAMES_FRAME_RUN_H_
#define SIMVISOR_DOMAIN_FRAMES_FRAME_RUN_H_

#include "domain/units/units.h"

namespace simvisor {

enum class FrameState { kFree, kOwned, kReserved, kNotRam };

// Consecutive frames with the same state and owner, and with consecutive pfns.
struct FrameRun {
  MfnExtent frames;
  FrameState state = FrameState::kNotRam;
  DomainId owner;               // if kOwned
  Pfn first_pfn = Pfn::None();  // if kOwned and it has an m2p entry

  friend bool operator==(const FrameRun&, const FrameRun&) = default;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FRAME_RUN_H_
