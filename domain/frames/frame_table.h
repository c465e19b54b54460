// The state of every frame of the machine, and a way to find free frames.
//
// One 64-bit cell per mfn, in FrameCells:
//
//   free                 0
//   owned                owner's id + 1 in bits 57..43, pfn in bits 42..0
//   reserved, not RAM    two codes of their own in bits 57..43
//
// So an extent that an owner has at consecutive pfns is one run that counts up,
// and all other extents are uniform.  kNoPfn in bits 42..0 means that there is
// no m2p entry; kNoPfn and its neighbours are never pfns, so that no run counts
// up across it.
//
// Free frames are counted per block.  A split block that is partly free has
// FreeBits, so free frames are found without reading its cells; in a block that
// is not split they are found among its few runs.  A block that becomes free,
// or taken, as a whole drops its bits.
//
// Costs: a machine takes 32 bytes per GiB.  Finding, taking or freeing an
// extent takes constant time per block, plus a few microseconds at most in the
// two blocks where it may begin and end halfway.  Taking or freeing a single
// frame of a split block takes nanoseconds; the frame that splits a block, or
// makes it free as a whole again, takes about 100 microseconds.
//
// Units: frames of 4096 bytes.
//
// Thread safety: thread-compatible; FramePool serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_FRAMES_FRAME_TABLE_H_
#define SIMVISOR_DOMAIN_FRAMES_FRAME_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/frames/frame_cells.h"
#include "domain/frames/frame_run.h"
#include "domain/frames/free_bits.h"
#include "domain/units/units.h"

namespace simvisor {

class FrameTable {
 public:
  struct Counts {
    PageCount total, free, owned, reserved;
    friend bool operator==(const Counts&, const Counts&) = default;
  };

  // A machine whose RAM is `ram` (ascending, disjoint, not empty).  All of it
  // is free except the frames below `reserved_below`.  Frames below `low_end`
  // are also counted separately; None() means the machine's end.
  //
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED if the system refuses the
  // address space, or `faults` fails the allocation.
  static absl::StatusOr<FrameTable> Create(const std::vector<MfnExtent>& ram,
                                           Mfn reserved_below,
                                           Mfn low_end = Mfn::None(),
                                           AllocationFaults* faults = nullptr);

  const Counts& counts() const { return counts_; }
  // Free frames below low_end().
  PageCount free_low() const { return free_low_; }
  // One past the last frame.
  Mfn max_mfn() const { return max_mfn_; }
  // At most max_mfn().
  Mfn low_end() const { return low_end_; }

  // The first free frame at or after `from` and the free frames that follow it,
  // at most `most` in all.  Empty if no frame from there on is free.
  // REQUIRES: most > 0.
  MfnExtent FindFree(Mfn from, PageCount most);

  // Gives free frames to `owner`, at pfns first_pfn, first_pfn + 1, ...
  // REQUIRES: all are free; all pfns are below kEndPfn.
  void Take(MfnExtent frames, DomainId owner, Pfn first_pfn);

  // Takes the next free frames of [from, end), as FindFree() would find them
  // one after the other, at most `most`: one extent, or, in a block that has
  // bits, about max_extents of its extents.  Appends them to `taken` and
  // returns how many frames it took.
  // REQUIRES: [from, end) has a free frame; otherwise as for Take().
  PageCount TakeNext(Mfn from, Mfn end, PageCount most, size_t max_extents,
                     DomainId owner, Pfn first_pfn,
                     std::vector<MfnExtent>& taken);

  // Takes `count` single frames: for each of the next `places`, the first free
  // frame of [first, end) at or after it, or the first free frame of [first,
  // end) if none after it is free.  Appends them to `taken`.
  // REQUIRES: [first, end) has `count` free frames; otherwise as for Take().
  void TakeScattered(absl::FunctionRef<Mfn()> places, Mfn first, Mfn end,
                     size_t count, DomainId owner, Pfn first_pfn,
                     std::vector<MfnExtent>& taken);

  // Makes owned frames free.
  // REQUIRES: all frames are owned.
  void Free(MfnExtent frames);
  void Free(absl::Span<const MfnExtent> extents);

  // Sets the m2p entries of owned frames to first_pfn, first_pfn + 1, ...;
  // Pfn::None() clears them.
  // REQUIRES: all are owned; all pfns are below kEndPfn.
  void SetPfns(MfnExtent frames, Pfn first_pfn);

  // The longest run that begins at `first`, cut at `end`.
  // REQUIRES: first < end <= max_mfn().
  FrameRun RunAt(Mfn first, Mfn end) const;

  // Whether all of `frames` are in `state`.
  // REQUIRES: as for RunAt().
  bool AllAre(FrameState state, MfnExtent frames) const;

  // Compares every count with a recount; INTERNAL with all differences.
  absl::Status CheckInvariants() const;

  static constexpr int kPfnBits = 43;
  static constexpr uint64_t kNoPfn = (uint64_t{1} << kPfnBits) - 2;
  // m2p entries are below this.
  static constexpr Pfn kEndPfn{kNoPfn - 1};

 private:
  static constexpr int kLeafShift = 9;
  static constexpr uint64_t kLeafSize = uint64_t{1} << kLeafShift;
  static constexpr int kBlockShift = FreeBits::kShift;
  static constexpr uint64_t kBlockSize = FreeBits::kSize;

  // The counts that CheckInvariants() makes.
  struct Recount;

  FrameTable(FrameCells cells, Mfn max_mfn, Mfn low_end);

  // Update the counts for frames that became free, or were taken.
  void CountFreed(MfnExtent frames);
  void CountTaken(MfnExtent frames);
  // The number of `frames` that lie below low_end().
  PageCount LowPart(MfnExtent frames) const;
  // TakeNext() in a block that has bits, from a free frame on; leaves the
  // block's counts to the caller.  May return a few more extents than asked
  // for.
  PageCount TakeInBlock(uint64_t block, Mfn from, Mfn end, PageCount most,
                        size_t max_extents, DomainId owner, Pfn first_pfn,
                        std::vector<MfnExtent>& taken);
  // The same in one word of the bits, from frame `at` of the block on, below
  // `limit`.  The first frame gets `cell`, the others the numbers that follow
  // it.
  PageCount TakeInWord(uint64_t block, uint64_t at, uint64_t limit,
                       PageCount most, uint64_t cell,
                       std::vector<MfnExtent>& taken);
  // Takes a frame off the bits and counts, but leaves its cell; returns false
  // if its block has no bits, or would drop them with this frame.
  bool TakeOffBits(MfnExtent frame);
  // Frees those leading extents that are single frames of one leaf in a block
  // that has bits and keeps them; returns how many.
  size_t FreeInLeaf(absl::Span<const MfnExtent> extents);
  // Lowers the hints of FindFree() to cover frames that became free.
  void LowerHints(MfnExtent freed);
  // Updates the count of one block: up if `free`, else down.
  void CountInBlock(uint64_t first, uint64_t count, bool free);
  // Builds the bits of `block` from its cells, if it should have bits.
  void MakeBits(uint64_t block);

  // The first free frame at or after `at`, else max_mfn().
  uint64_t NextFree(uint64_t at) const;
  // The end of the free frames that begin at `at`, cut at `limit`.
  uint64_t FreeEnd(uint64_t at, uint64_t limit) const;

  // The first free frame at or after `at` within a partly free block, else
  // kBlockSize; the first taken frame in [at, end), else `end`.  Frames are
  // numbered from the start of the block.
  uint64_t NextFreeIn(uint64_t block, uint64_t at) const;
  uint64_t NextTakenIn(uint64_t block, uint64_t at, uint64_t end) const;
  // The first frame in [at, end) whose being free equals `free`.
  uint64_t FindByRuns(uint64_t block, uint64_t at, uint64_t end,
                      bool free) const;

  void CheckBlock(uint64_t block, Recount& recount) const;
  void CheckRun(const FrameCells::Run& run, Recount& recount) const;

  FrameCells cells_;
  Mfn max_mfn_;
  Mfn low_end_;
  Counts counts_;
  PageCount free_low_;
  std::vector<uint32_t> free_in_block_;
  // Per block; null unless the block is split and partly free.
  std::vector<std::unique_ptr<FreeBits>> free_bits_;
  // No frame below this is free.
  Mfn lowest_free_;
  // At least low_end_; no frame in [low_end_, lowest_free_high_) is free.
  Mfn lowest_free_high_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_FRAME_TABLE_H_
