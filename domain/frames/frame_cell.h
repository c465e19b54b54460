// How a frame's state, owner and m2p entry are coded in its cell; see
// frame_table.h.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_FRAMES_FRAME_CELL_H_
#define SIMVISOR_DOMAIN_FRAMES_FRAME_CELL_H_

#include <cstdint>

#include "domain/frames/frame_run.h"
#include "domain/frames/frame_table.h"
#include "domain/units/units.h"

namespace simvisor {

inline constexpr uint64_t kFreeCell = 0;
inline constexpr uint64_t kPfnMask = (uint64_t{1} << FrameTable::kPfnBits) - 1;
inline constexpr uint64_t kReservedCode = 0x7FFE;
inline constexpr uint64_t kNotRamCode = 0x7FFF;
// Owners have the codes 1 to kLastOwnerCode.
inline constexpr uint64_t kLastOwnerCode = kFirstReservedDomainId;
static_assert(kLastOwnerCode < kReservedCode);

constexpr uint64_t MakeCell(uint64_t code, uint64_t pfn) {
  return code << FrameTable::kPfnBits | pfn;
}
inline constexpr uint64_t kReservedCell =
    MakeCell(kReservedCode, FrameTable::kNoPfn);
inline constexpr uint64_t kNotRamCell =
    MakeCell(kNotRamCode, FrameTable::kNoPfn);
// Cells are compact, so their numbers stay below the tags of CompactWords.
static_assert(kNotRamCell < uint64_t{1} << 58);

inline uint64_t OwnedCell(DomainId owner, Pfn pfn) {
  return MakeCell(uint64_t{owner.value()} + 1,
                  pfn.is_none() ? FrameTable::kNoPfn : pfn.value());
}

inline FrameState StateOf(uint64_t cell) {
  if (cell == kFreeCell) return FrameState::kFree;
  if (cell == kReservedCell) return FrameState::kReserved;
  if (cell == kNotRamCell) return FrameState::kNotRam;
  return FrameState::kOwned;
}

inline bool HasPfn(uint64_t cell) {
  return StateOf(cell) == FrameState::kOwned &&
         (cell & kPfnMask) != FrameTable::kNoPfn;
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FRAME_CELL_H_
