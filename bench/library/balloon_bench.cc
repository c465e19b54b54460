// Balloon steps of 256 MiB: the library against a dense machine.
//
//   balloon_down/WHOSE/POOL, balloon_up/WHOSE/POOL
//
// Down and up alternate, and only one of them is timed.  The guest has 4 GiB,
// and its frames are like the pool's.  The dense guest gives up its last pages.
// Per step where the pool is whole, per page where it is fragmented.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "bench/library/check.h"
#include "bench/library/machines.h"
#include "bench/library/register.h"
#include "bench/library/stopwatch.h"
#include "benchmark/benchmark.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kGuestPages = 4 * kPagesPerGiB;
constexpr uint64_t kStep = 256 * kPagesPerMiB;

enum class Way { kDown, kUp };

// Alternates down and up, and times one of them.
template <typename Down, typename Up>
void Measure(benchmark::State& state, Pool pool, Way way, Down down, Up up) {
  for (auto _ : state) {
    const double down_time = SecondsOf(down);
    const double up_time = SecondsOf(up);
    state.SetIterationTime(way == Way::kDown ? down_time : up_time);
  }
  if (pool == Pool::kWhole) return;
  state.SetItemsProcessed(state.iterations() * kStep);
}

void Balloon(benchmark::State& state, Pool pool, Way way) {
  Host& host = SharedHost(pool);
  const auto domain =
      MustCreate(host, MakeSpec("guest", PageCount(kGuestPages)));
  const PageCount step(kStep);
  Measure(
      state, pool, way,
      [&] {
        MustBeOk(
            domain->balloon().Down({"balloon down"}, step, false).status());
      },
      [&] {
        MustBeOk(domain->balloon().Up({"balloon up"}, step, false).status());
      });
  MustDestroy(host, domain);
}

void BalloonDense(benchmark::State& state, Pool pool, Way way) {
  DenseMachine& machine = SharedDense(pool);
  DenseGuest guest = machine.Create(2, kGuestPages);
  Measure(
      state, pool, way,
      [&] { machine.Release(guest, kGuestPages - kStep, kGuestPages); },
      [&] { machine.Populate(guest, kGuestPages - kStep, kGuestPages); });
  machine.Destroy(std::move(guest));
}

void Register(const std::string& name, Way way, Pool pool) {
  benchmark::RegisterBenchmark(
      absl::StrCat(name, "/ours/", NameOf(pool)).c_str(), Balloon, pool, way)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(
      absl::StrCat(name, "/dense/", NameOf(pool)).c_str(), BalloonDense, pool,
      way)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void RegisterBalloon() {
  for (const Pool pool : {Pool::kWhole, Pool::kAlternate, Pool::kScatter}) {
    Register("balloon_down", Way::kDown, pool);
    Register("balloon_up", Way::kUp, pool);
  }
}

}  // namespace simvisor::bench
