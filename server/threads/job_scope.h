// The place where the body of a call runs, and its way to another.
//
// A body starts on a thread for short calls, or on gRPC's.  Before it changes
// anything, it says what it is about to do: enter a domain, begin long work, or
// change a domain whose secondary MMUs have to let go first.
// If this place does not allow that, the scope records a detour and returns an
// error, which the body returns as its status; the caller of the body then runs
// it again from the start where it fits: in the domain's lane, or on a thread
// for long work, or on one that may wait for clients.  A body in a lane may
// still move on to long work, so lanes only run short bodies; a body on a
// thread for long work may wait for domains, and one that may wait for clients
// may do anything.
//
// A thread's innermost scope counts.  On a thread without a scope, a body may
// do anything.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_THREADS_JOB_SCOPE_H_
#define SIMVISOR_SERVER_THREADS_JOB_SCOPE_H_

#include <memory>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "server/threads/domain_lanes.h"

namespace simvisor::server {

// The most pages that an operation of a short body moves or looks at: about 10
// ms even if no two pages are adjacent.  More is long work.
inline constexpr PageCount kShortPages{64 * kPagesPerMiB};

enum class Place {
  kShort,  // on a thread for short calls
  kLong,   // on a thread for long work
  kLane,   // in the lane of a domain
  kWait,   // on a thread that may wait for clients
};

// Where a body must run instead.
struct Detour {
  Place place = Place::kLong;
  std::shared_ptr<Domain> lane;  // kLane: whose
};

class JobScope {
 public:
  // Opens the scope of a body that this thread runs.  `lanes` outlives it.
  JobScope(DomainLanes* lanes, Place place);
  JobScope(const JobScope&) = delete;
  JobScope& operator=(const JobScope&) = delete;
  // Leaves the domains that the body has entered.
  ~JobScope();

  // Set if the body must run elsewhere.
  const std::optional<Detour>& detour() const { return detour_; }

  // For bodies.  OK if the domain has been entered, or if the body may wait for
  // it here; otherwise a status that the body must return.  Call it before the
  // body changes anything.
  static absl::Status Enter(const std::shared_ptr<Domain>& domain);
  // The same before long work; always OK if the work `is_short`.
  static absl::Status BeginWork(bool is_short);
  // The same before a change that secondary MMUs of the domain are told of;
  // always OK if it has none.  Call it before Enter(), which such a change must
  // not do: others may use the domain while it waits.
  static absl::Status BeginChange(const Domain& domain);

 private:
  absl::Status Take(Detour detour);

  DomainLanes* const lanes_;
  const Place place_;
  JobScope* const outer_;
  absl::InlinedVector<std::shared_ptr<Domain>, 1> entered_;
  std::optional<Detour> detour_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_THREADS_JOB_SCOPE_H_
