// Create, boot and destroy a domain: the library against a dense machine.
//
//   create_destroy/WHOSE/POOL/SIZE
//
// The library builds the domain, boots its guest (e820, p2m area, tree for
// tools, balloon driver) and destroys it; the dense machine finds frames,
// writes the p2m and m2p word of each page, and takes them back.  Per page
// where the pool is fragmented, per domain where it is whole.

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "bench/library/machines.h"
#include "bench/library/register.h"
#include "benchmark/benchmark.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

void CountPages(benchmark::State& state, Pool pool, uint64_t pages) {
  if (pool == Pool::kWhole) return;
  state.SetItemsProcessed(state.iterations() * pages);
}

void CreateDestroy(benchmark::State& state, Pool pool, uint64_t gib) {
  Host& host = SharedHost(pool);
  const PageCount pages(gib * kPagesPerGiB);
  const DomainSpec spec = MakeSpec("guest", pages);
  for (auto _ : state) MustDestroy(host, MustCreate(host, spec));
  CountPages(state, pool, pages.value());
}

void CreateDestroyDense(benchmark::State& state, Pool pool, uint64_t gib) {
  DenseMachine& machine = SharedDense(pool);
  const uint64_t pages = gib * kPagesPerGiB;
  for (auto _ : state) machine.Destroy(machine.Create(2, pages));
  CountPages(state, pool, pages);
}

void Register(Pool pool, uint64_t gib, bool dense) {
  const std::string rest = absl::StrCat(NameOf(pool), "/", SizeName(gib));
  benchmark::RegisterBenchmark(
      absl::StrCat("create_destroy/ours/", rest).c_str(), CreateDestroy, pool,
      gib)
      ->Unit(benchmark::kMicrosecond);
  if (!dense) return;
  benchmark::RegisterBenchmark(
      absl::StrCat("create_destroy/dense/", rest).c_str(), CreateDestroyDense,
      pool, gib)
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void RegisterCreation() {
  for (const uint64_t gib : {1, 64, 1024, 4096}) {
    Register(Pool::kWhole, gib, gib <= 64);
  }
  for (const uint64_t gib : {1, 4}) Register(Pool::kAlternate, gib, true);
  for (const uint64_t gib : {1, 4, 16}) Register(Pool::kScatter, gib, true);
}

}  // namespace simvisor::bench
