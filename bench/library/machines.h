// Hosts and dense machines in the states that benchmarks start from.
//
// Shared ones are made when they are first asked for and kept to the end; who
// creates domains on them destroys these again.
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

// What free frames are like.
enum class Pool {
  kWhole,      // one extent; domains get contiguous frames
  kAlternate,  // every second frame is free, given out from the lowest on
  kScatter,    // half are free, given out one by one at random places
};
std::string NameOf(Pool pool);

// Free memory of the shared machines of each kind.
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
