#include "bench/baselines/dense_machine.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "bench/library/random.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kBits = 64;
constexpr uint64_t kAll = ~uint64_t{0};

// Bits [0, count).
// REQUIRES: 0 < count <= 64.
constexpr uint64_t LowBits(uint64_t count) { return kAll >> (kBits - count); }

}  // namespace

DenseMachine::DenseMachine(uint64_t frames, Placement placement)
    : placement_(placement),
      m2p_(frames),
      free_(frames / kBits, kAll),
      free_count_(frames) {
  std::fill_n(m2p_.data(), m2p_.size(), kInvalid);
}

DenseGuest DenseMachine::Create(uint16_t id, uint64_t pages) {
  DenseGuest guest{id, WordArray(pages)};
  Populate(guest, 0, pages);
  return guest;
}

void DenseMachine::Destroy(DenseGuest guest) {
  Release(guest, 0, guest.p2m.size());
}

void DenseMachine::Populate(DenseGuest& guest, uint64_t first, uint64_t end) {
  for (uint64_t pfn = first; pfn < end;) {
    const Run run = Take(end - pfn);
    for (uint64_t i = 0; i < run.count; ++i, ++pfn) {
      guest.p2m[pfn] = run.first + i;
      m2p_[run.first + i] = Owned(guest.id, pfn);
    }
  }
}

void DenseMachine::Release(DenseGuest& guest, uint64_t first, uint64_t end) {
  for (uint64_t pfn = first; pfn < end; ++pfn) {
    const uint64_t mfn = guest.p2m[pfn];
    guest.p2m[pfn] = kInvalid;
    m2p_[mfn] = kInvalid;
    free_[mfn / kBits] |= uint64_t{1} << mfn % kBits;
    lowest_ = std::min(lowest_, mfn / kBits);
  }
  free_count_ += end - first;
}

void DenseMachine::Keep(uint64_t frames) {
  while (frames > 0) frames -= Take(frames).count;
}

void DenseMachine::KeepEverySecond() {
  std::fill(free_.begin(), free_.end(), kAll / 3);
  free_count_ /= 2;
}

uint64_t DenseMachine::Audit(const DenseGuest& guest) const {
  uint64_t bad = 0;
  for (uint64_t pfn = 0; pfn < guest.p2m.size(); ++pfn) {
    bad += m2p_[guest.p2m[pfn]] != Owned(guest.id, pfn);
  }
  return bad;
}

DenseMachine::Run DenseMachine::Take(uint64_t most) {
  const Run run = placement_ == Placement::kLowest ? TakeLowest(most)
                                                   : Run{TakeScattered(), 1};
  free_count_ -= run.count;
  return run;
}

DenseMachine::Run DenseMachine::TakeLowest(uint64_t most) {
  while (free_[lowest_] == 0) ++lowest_;
  uint64_t& word = free_[lowest_];
  const uint64_t bit = std::countr_zero(word);
  const uint64_t length = std::countr_one(word >> bit);
  const uint64_t count = std::min(most, length);
  word &= ~(LowBits(count) << bit);
  return {lowest_ * kBits + bit, count};
}

uint64_t DenseMachine::TakeScattered() {
  const uint64_t place = RandomBelow(random_, m2p_.size());
  uint64_t index = place / kBits;
  uint64_t bits = free_[index] & (kAll << place % kBits);
  while (bits == 0) {
    index = index + 1 == free_.size() ? 0 : index + 1;
    bits = free_[index];
  }
  free_[index] &= ~(bits & -bits);
  return index * kBits + std::countr_zero(bits);
}

}  // namespace simvisor::bench
