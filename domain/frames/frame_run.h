// What is known about a stretch of frames.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_FRAMES_FRAME_RUN_H_
#define SIMVISOR_DOMAIN_FRAMES_FRAME_RUN_H_

#include "domain/units/units.h"

namespace simvisor {

enum class FrameState { kFree, kOwned, kReserved, kNotRam };

// Frames with one state and owner and pfns that follow each other.
struct FrameRun {
  MfnExtent frames;
  FrameState state = FrameState::kNotRam;
  DomainId owner;               // of kOwned
  Pfn first_pfn = Pfn::None();  // of kOwned, if it has an m2p entry

  friend bool operator==(const FrameRun&, const FrameRun&) = default;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FRAME_RUN_H_
