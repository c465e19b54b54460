// Only the frame pool: 1 GiB of frames taken and given back.
//
//   frames_take/WHOSE/POOL, frames_give/WHOSE/POOL
//
// Taking means claiming frames and populating with them.  Both pools write an
// m2p word per frame.  The dense pool also writes the p2m word; the library
// keeps a list of extents here instead.  Per frame.

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "bench/library/check.h"
#include "bench/library/machines.h"
#include "bench/library/register.h"
#include "bench/library/stopwatch.h"
#include "benchmark/benchmark.h"
#include "domain/frames/frame_pool.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kFrames = kPagesPerGiB;
constexpr uint64_t kPoolFrames = 4 * kFrames;

enum class Turn { kTake, kGive };

std::vector<MfnExtent> TakeFrames(FramePool& pool, uint64_t frames) {
  std::vector<MfnExtent> extents;
  FrameClaim claim = MustHave(pool.Claim(PageCount(frames)));
  for (Pfn at(0); at < Pfn(frames);) {
    at +=
        pool.Populate(claim, DomainId(1), ExtentBetween(at, Pfn(frames)),
                      [&](Pfn, absl::Span<const MfnExtent> mfns) {
                        extents.insert(extents.end(), mfns.begin(), mfns.end());
                      });
  }
  return extents;
}

std::unique_ptr<FramePool> NewPool(Pool kind) {
  const std::vector<MfnExtent> ram = {{Mfn(0), PageCount(kPoolFrames)}};
  const Placement placement =
      kind == Pool::kScatter ? Placement::kScatter : Placement::kLowest;
  auto pool = MustHave(FramePool::Create(ram, Mfn(0), placement, /*seed=*/1));
  if (kind == Pool::kScatter) TakeFrames(*pool, kPoolFrames / 2);
  if (kind == Pool::kAlternate) {
    TakeFrames(*pool, kPoolFrames);
    std::vector<MfnExtent> singles;
    for (uint64_t mfn = 0; mfn < kPoolFrames; mfn += 2) {
      singles.push_back({Mfn(mfn), PageCount(1)});
    }
    pool->Free(singles);
  }
  return pool;
}

FramePool& SharedPool(Pool kind) {
  static auto& pools = *new std::array<std::unique_ptr<FramePool>, 3>;
  auto& pool = pools[static_cast<size_t>(kind)];
  if (!pool) pool = NewPool(kind);
  return *pool;
}

DenseMachine& SharedDensePool(Pool kind) {
  static auto& pools = *new std::array<std::unique_ptr<DenseMachine>, 3>;
  auto& pool = pools[static_cast<size_t>(kind)];
  const uint64_t frames = kind == Pool::kWhole ? kPoolFrames : kPoolFrames / 2;
  if (!pool) pool = NewDense(kind, frames / kPagesPerGiB);
  return *pool;
}

template <typename Take, typename Give>
void Measure(benchmark::State& state, Turn turn, Take take, Give give) {
  for (auto _ : state) {
    const double take_time = SecondsOf(take);
    const double give_time = SecondsOf(give);
    state.SetIterationTime(turn == Turn::kTake ? take_time : give_time);
  }
  state.SetItemsProcessed(state.iterations() * kFrames);
}

void Frames(benchmark::State& state, Pool kind, Turn turn) {
  FramePool& pool = SharedPool(kind);
  std::vector<MfnExtent> extents;
  Measure(
      state, turn, [&] { extents = TakeFrames(pool, kFrames); },
      [&] { pool.Free(extents); });
}

void FramesDense(benchmark::State& state, Pool kind, Turn turn) {
  DenseMachine& machine = SharedDensePool(kind);
  DenseGuest guest{2, WordArray(kFrames)};
  Measure(
      state, turn, [&] { machine.Populate(guest, 0, kFrames); },
      [&] { machine.Release(guest, 0, kFrames); });
}

void Register(const char* name, Pool kind, Turn turn) {
  benchmark::RegisterBenchmark(
      absl::StrCat(name, "/ours/", NameOf(kind)).c_str(), Frames, kind, turn)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(
      absl::StrCat(name, "/dense/", NameOf(kind)).c_str(), FramesDense, kind,
      turn)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void RegisterFrames() {
  for (const Pool kind : {Pool::kWhole, Pool::kAlternate, Pool::kScatter}) {
    Register("frames_take", kind, Turn::kTake);
    Register("frames_give", kind, Turn::kGive);
  }
}

}  // namespace simvisor::bench
