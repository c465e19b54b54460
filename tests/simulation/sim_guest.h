// What guests do in a simulation, and what must have come of it.
//
// All that a simulation asks of domains is here.

#ifndef SIMVISOR_TESTS_SIMULATION_SIM_GUEST_H_
#define SIMVISOR_TESTS_SIMULATION_SIM_GUEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/uuid.h"
#include "domain/host/host.h"
#include "domain/vm/domain.h"

namespace simvisor::server {

using Random = std::mt19937_64;

inline uint64_t Below(Random& random, uint64_t end) { return random() % end; }
inline bool Chance(Random& random, uint64_t percent) {
  return Below(random, 100) < percent;
}

// One thing that a guest, or a client with it, does.
struct GuestChange {
  enum class Kind {
    kWrite,
    kBalloonDown,
    kBalloonUp,
    kTarget,
    kStartLoad,
    kRunLoad,
    kStopLoad,
  };
  Kind kind = Kind::kWrite;
  uint64_t where = 0;   // kWrite: the pfn
  uint64_t amount = 0;  // pages, writes, or the byte to write at
  std::string data;
};

GuestChange AnyChange(Random& random, const DomainSpec& spec);

// Does it; what is done only in part is noted in `change` as it was done.
absl::Status Apply(Domain& domain, GuestChange& change);

DomainSpec AnySpec(Random& random, const std::string& name);

std::unique_ptr<Host> MakeSimHost();

// A domain of a host, without dom0.
struct Copy {
  std::shared_ptr<Domain> domain;
  Uuid uuid{};
  bool suspended = false;  // else it runs, or a client has paused it
};
std::vector<Copy> CopiesOn(const Host& host);

// What is wrong with the host, whose guests, as they are now, are all that it
// may hold; empty if nothing is.
std::string FindFault(const Host& host);

// Ends whatever suspension there is.
absl::Status ResumeNow(Domain& domain);

// How the domain differs from a guest that did all of `changes` and never
// moved; empty if it does not.
std::string FindDifference(Domain& domain, const DomainSpec& spec,
                           std::vector<GuestChange> changes);

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SIMULATION_SIM_GUEST_H_
