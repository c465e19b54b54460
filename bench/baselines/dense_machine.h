// A machine and its guests done densely: the plain design to compare with.
//
// The machine has one m2p word per frame, owner and pfn, and one bit per free
// frame.  A guest has one p2m word per page, in an array that is mapped afresh
// when the guest is created and unmapped with it.  To create a guest is to find
// its frames in the bits and to write both words of each page; nothing else is
// done: there is no boot, no tree for tools, no balloon driver, no list of the
// guest's free pages, and no lock.  The machine's own arrays are touched when
// it is made, so that what is timed later is the guest's share alone.
//
// Frames come in runs of up to 64, a word of bits at a time: the lowest free
// ones, or with kScatter one by one, each the first free frame at or behind a
// place that is drawn from the whole machine.
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

  // `frames` of them, all free.  REQUIRES: a multiple of 64.
  DenseMachine(uint64_t frames, Placement placement);

  uint64_t free_frames() const { return free_count_; }

  // REQUIRES: as many frames are free as pages are asked for, in each of these.
  DenseGuest Create(uint16_t id, uint64_t pages);
  void Destroy(DenseGuest guest);
  // Gives frames to the pages [first, end) of a guest, which have none.
  void Populate(DenseGuest& guest, uint64_t first, uint64_t end);
  // Takes the frames of pages [first, end) away.
  void Release(DenseGuest& guest, uint64_t first, uint64_t end);

  // Keeps frames back for good: every second one, or as many as said, placed as
  // those of guests are.  REQUIRES: all are free.
  void KeepEverySecond();
  void Keep(uint64_t frames);

  // Words of the guest that m2p does not give back.
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
  uint64_t lowest_ = 0;  // no free bit lies in a word before this one
  uint64_t random_ = 1;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_BASELINES_DENSE_MACHINE_H_
