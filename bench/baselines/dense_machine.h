// A machine and its guests in dense arrays: the plain design to compare with.
//
// The machine has one m2p word per frame, with owner and pfn, and one bit per
// free frame.  A guest has one p2m word per page, in an array that is newly
// mapped when the guest is created and unmapped with it.  Creating a guest
// means finding its frames in the bits and writing both words of each page, and
// nothing else: no boot, no tree for tools, no balloon driver, no list
// of the guest's free pages, and no lock.  The machine's own arrays are touched
// when it is made, so that later timings cover only the guest's share.
//
// Frames come in runs of up to 64, one word of bits at a time: the lowest free
// ones, or with kScatter one by one, each the first free frame at or after a
// place drawn from the whole machine.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_BENCH_BASELINES_DENSE_MACHINE_H_
#define SIMVISOR_BENCH_BASELINES_DENSE_MACHINE_H_

#include <cstdint>
#include <vector>

#include "bench/baselines/word_array.h"

namespace simvisor::bench {

struct DenseGuest {
  uint16_t id;
  WordArray p2m;
};

class DenseMachine {
 public:
  enum class Placement { kLowest, kScatter };
  static constexpr uint64_t kInvalid = ~uint64_t{0};

  // A machine with `frames` frames, all free.
  // REQUIRES: `frames` is a multiple of 64.
  DenseMachine(uint64_t frames, Placement placement);

  uint64_t free_frames() const { return free_count_; }

  // REQUIRES: for Create() and Populate(), enough frames are free for the
  // pages.
  DenseGuest Create(uint16_t id, uint64_t pages);
  void Destroy(DenseGuest guest);
  // Gives frames to the pages [first, end) of a guest; they must have none.
  void Populate(DenseGuest& guest, uint64_t first, uint64_t end);
  // Takes the frames of pages [first, end) away.
  void Release(DenseGuest& guest, uint64_t first, uint64_t end);

  // Withhold frames for good: every second one, or `frames` of them, placed
  // like those of guests.
  // REQUIRES: all frames are free.
  void KeepEverySecond();
  void Keep(uint64_t frames);

  // Counts the words of the guest that the m2p does not lead back to.
  uint64_t Audit(const DenseGuest& guest) const;

 private:
  struct Run {
    uint64_t first;
    uint64_t count;
  };
  Run Take(uint64_t most);
  Run TakeLowest(uint64_t most);
  uint64_t TakeScattered();

  static uint64_t Owned(uint16_t id, uint64_t pfn) {
    return uint64_t{id} << 48 | pfn;
  }

  const Placement placement_;
  WordArray m2p_;
  std::vector<uint64_t> free_;  // one bit per frame
  uint64_t free_count_;
  uint64_t lowest_ = 0;  // no word before this one has a free bit
  uint64_t random_ = 1;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_BASELINES_DENSE_MACHINE_H_
