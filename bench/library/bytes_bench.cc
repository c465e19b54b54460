// Resident memory of domains, as the system counts it.
//
//   bytes/WHOSE/POOL/SIZE       one domain: `bytes`
//   bytes/WHOSE/domains/COUNT   running domains of 1 GiB: `bytes` for each
//
// Measures how much the process grows on a machine that has had no guest
// before, so the part of the frame table for these frames counts; with
// scattered frames, all of the frame table counts.  A dense machine has just
// the frames that its domains need; for scattered frames both machines spread
// them over twice as many.  `left` is what remains when the domains are gone
// and the machine still exists.  The times mean nothing, because memory is
// first given back to the system.

#include <malloc.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/library/machines.h"
#include "bench/library/register.h"
#include "benchmark/benchmark.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

int64_t ResidentBytes() {
  int64_t size = 0;
  int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

void Report(benchmark::State& state, int64_t before, int64_t with,
            int64_t without, int count) {
  state.counters["bytes"] = static_cast<double>(with - before) / count;
  state.counters["left"] = static_cast<double>(without - before) / count;
}

void Bytes(benchmark::State& state, Placement placement, uint64_t gib,
           int count) {
  for (auto _ : state) {
    malloc_trim(0);
    int64_t before = ResidentBytes();
    const auto host = NewHost(2 * gib * count, placement);
    // Scattered frames of dom0 already populate nearly the whole frame table.
    if (placement != Placement::kScatter) {
      malloc_trim(0);
      before = ResidentBytes();
    }
    std::vector<std::shared_ptr<Domain>> domains;
    for (int i = 0; i < count; ++i) {
      domains.push_back(MustCreate(
          *host,
          MakeSpec(absl::StrCat("guest", i), PageCount(gib * kPagesPerGiB))));
    }
    const int64_t with = ResidentBytes();
    for (const auto& domain : domains) MustDestroy(*host, domain);
    domains.clear();
    malloc_trim(0);
    Report(state, before, with, ResidentBytes(), count);
  }
}

void BytesDense(benchmark::State& state, DenseMachine::Placement placement,
                uint64_t gib, int count) {
  const uint64_t pages = gib * kPagesPerGiB;
  for (auto _ : state) {
    malloc_trim(0);
    const int64_t before = ResidentBytes();
    const bool scatter = placement == DenseMachine::Placement::kScatter;
    DenseMachine machine(pages * count * (scatter ? 2 : 1), placement);
    std::vector<DenseGuest> guests;
    for (int i = 0; i < count; ++i) guests.push_back(machine.Create(i, pages));
    const int64_t with = ResidentBytes();
    for (DenseGuest& guest : guests) machine.Destroy(std::move(guest));
    guests.clear();
    Report(state, before, with, ResidentBytes(), count);
  }
}

constexpr int kRepetitions = 3;  // results differ by a few pages

template <typename Function, typename Place>
void Register(const std::string& name, Function function, Place placement,
              uint64_t gib, int count) {
  benchmark::RegisterBenchmark(absl::StrCat("bytes/", name).c_str(), function,
                               placement, gib, count)
      ->Iterations(1)
      ->Repetitions(kRepetitions)
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

void RegisterBytes() {
  using enum DenseMachine::Placement;
  for (const uint64_t gib : {1, 16, 64, 1024, 4096}) {
    const std::string rest = absl::StrCat("contiguous/", SizeName(gib));
    Register("ours/" + rest, Bytes, Placement::kLowest, gib, 1);
    if (gib > 64) continue;
    Register("dense/" + rest, BytesDense, kLowest, gib, 1);
  }
  for (const uint64_t gib : {1, 4, 16}) {
    const std::string rest = absl::StrCat("scatter/", SizeName(gib));
    Register("ours/" + rest, Bytes, Placement::kScatter, gib, 1);
    Register("dense/" + rest, BytesDense, kScatter, gib, 1);
  }
  for (const int count : {1, 100, 1000, 10000}) {
    Register(absl::StrCat("ours/domains/", count), Bytes, Placement::kLowest, 1,
             count);
  }
  for (const int count : {1, 100}) {
    Register(absl::StrCat("dense/domains/", count), BytesDense, kLowest, 1,
             count);
  }
}

}  // namespace simvisor::bench
