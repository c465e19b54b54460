// Marking a range identity: the library against words in an array.
//
//   identity/WHOSE/SIZE
//
// The guest has 8 GiB of memory and room to balloon after it.  The room is
// marked identity and then, untimed, made missing again.  (A kernel takes no
// more room than 10 times its memory.)

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "bench/baselines/three_level_tree.h"
#include "bench/baselines/word_array.h"
#include "bench/library/check.h"
#include "bench/library/machines.h"
#include "bench/library/register.h"
#include "bench/library/stopwatch.h"
#include "benchmark/benchmark.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

constexpr PageCount kMemory{8 * kPagesPerGiB};

void MarkIdentity(benchmark::State& state, uint64_t gib) {
  Host& host = SharedHost(Pool::kWhole);
  const PfnExtent room = {Pfn(kMemory.value()), PageCount(gib * kPagesPerGiB)};
  DomainSpec spec = MakeSpec("guest", kMemory);
  spec.max_memory = spec.memory + room.count;
  const auto domain = MustCreate(host, spec);
  for (auto _ : state) {
    state.SetIterationTime(SecondsOf([&] {
      MustBeOk(domain->p2m()
                   .MarkIdentity({"mark identity"}, room.first, room.end(),
                                 /*release_ram=*/false)
                   .status());
    }));
    MustBeOk(domain->p2m()
                 .SetRange({"set p2m"}, room, P2mClass::kMissing, Mfn(),
                           RamPolicy::kRefuse)
                 .status());
  }
  MustDestroy(host, domain);
}

void MarkIdentityDense(benchmark::State& state, uint64_t gib) {
  WordArray words(gib * kPagesPerGiB);
  for (auto _ : state) {
    std::fill_n(words.data(), words.size(), ThreeLevelTree::kInvalid);
    state.SetIterationTime(SecondsOf([&] {
      std::iota(words.data(), words.data() + words.size(),
                kMemory.value() | ThreeLevelTree::kIdentityBit);
      benchmark::ClobberMemory();
    }));
  }
}

}  // namespace

void RegisterIdentity() {
  for (const uint64_t gib : {1, 64}) {
    benchmark::RegisterBenchmark(
        absl::StrCat("identity/ours/", SizeName(gib)).c_str(), MarkIdentity,
        gib)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark(
        absl::StrCat("identity/dense/", SizeName(gib)).c_str(),
        MarkIdentityDense, gib)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace simvisor::bench
