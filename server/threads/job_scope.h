// Where the body of a call runs, and how it gets to another place.
//
// A body begins on a thread for short calls, or on gRPC's.  Before it does
// anything it says what it is about to do: enter a domain, or work that lasts.
// If that does not fit the place, the answer is a detour: the body returns it
// as its status, and what runs bodies has it run anew, from its beginning,
// where it fits: in the domain's lane, or on a thread for long work.  From a
// lane it may still go on to long work, so that lanes are for short bodies
// only; where long work runs, it may wait for domains.
//
// A thread's innermost scope is the one that counts; where there is none,
// nothing is asked and everything fits.
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

// What an operation moves, or looks at, in some 10 ms even if every page is by
// itself; more is long work.
inline constexpr PageCount kShortPages{64 * kPagesPerMiB};

enum class Place {
  kShort,  // where short calls need the thread
  kLong,   // where long work needs it
  kLane,   // in the lane of a domain
};

// Where a body is to run anew.
struct Detour {
  std::shared_ptr<Domain> lane;  // null: where long work runs
};

class JobScope {
 public:
  // Of the body that this thread runs from now on.  `lanes` outlives it.
  JobScope(DomainLanes* lanes, Place place);
  JobScope(const JobScope&) = delete;
  JobScope& operator=(const JobScope&) = delete;
  // Leaves the domains that were entered.
  ~JobScope();

  // Set if the body was told to return.
  const std::optional<Detour>& detour() const { return detour_; }

  // For bodies.  OK if the domain has been entered, or the body may wait for
  // it here; else a status that the body must return.  To be called before the
  // body changes anything.
  static absl::Status Enter(const std::shared_ptr<Domain>& domain);
  // The same for work that lasts, unless it `is_short`.
  static absl::Status BeginWork(bool is_short);

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
