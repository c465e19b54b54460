// What guests do in a simulation, and the checks of their state.
//
// A simulation uses domains only through these functions.

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

// One thing that a guest does, or a client does to it.
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

// Applies `change`.  If only part of it was done, reduces `change` to that
// part.
absl::Status Apply(Domain& domain, GuestChange& change);

DomainSpec AnySpec(Random& random, const std::string& name);

std::unique_ptr<Host> MakeSimHost();

// A domain of a host other than dom0.
struct Copy {
  std::shared_ptr<Domain> domain;
  Uuid uuid{};
  bool suspended = false;
};
std::vector<Copy> CopiesOn(const Host& host);

// What is wrong with the host, which may hold nothing but its guests as they
// are now; empty if nothing is wrong.
std::string FindFault(const Host& host);

// Resumes the domain from its current suspension.
absl::Status ResumeNow(Domain& domain);

// How the domain differs from a guest that made the same `changes` and never
// moved; empty if it does not.
std::string FindDifference(Domain& domain, const DomainSpec& spec,
                           std::vector<GuestChange> changes);

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SIMULATION_SIM_GUEST_H_
