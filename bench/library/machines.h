// Hosts and dense machines in the initial states of benchmarks.
//
// Shared machines are made when they are first requested and kept to the end; a
// benchmark that creates domains on them destroys these again.
//
// Thread safety: one thread.

#ifndef SIMVISOR_BENCH_LIBRARY_MACHINES_H_
#define SIMVISOR_BENCH_LIBRARY_MACHINES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "bench/baselines/dense_machine.h"
#include "domain/host/host.h"

namespace simvisor::bench {

// How the free frames are distributed.
enum class Pool {
  kWhole,      // one extent; domains get contiguous frames
  kAlternate,  // every second frame is free; the lowest is given first
  kScatter,    // half are free; given one by one at random places
};
std::string NameOf(Pool pool);

// Free memory of each kind of shared machine.
constexpr uint64_t kWholeGib = 16 << 10;
constexpr uint64_t kDenseWholeGib = 80;
constexpr uint64_t kAlternateGib = 5;
constexpr uint64_t kScatterGib = 17;

std::unique_ptr<Host> NewHost(uint64_t gib, Placement placement);
// With kAlternateGib or kScatterGib free.
std::unique_ptr<Host> NewHost(Pool pool);

// With `gib` free.
std::unique_ptr<DenseMachine> NewDense(Pool pool, uint64_t gib);

Host& SharedHost(Pool pool);
DenseMachine& SharedDense(Pool pool);

DomainSpec MakeSpec(absl::string_view name, PageCount memory);
std::shared_ptr<Domain> MustCreate(Host& host, const DomainSpec& spec);
void MustDestroy(Host& host, const std::shared_ptr<Domain>& domain);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_MACHINES_H_
