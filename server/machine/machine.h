// The machine that calls work on: the host, and all that goes on in it without
// a call, or must follow what a call has done.
//
// A change may wind up the timer of a guest's balloon driver, or let a guest's
// load run; a domain that goes leaves memory behind.  Change(), Create() and
// Destroy() do what must follow, so that their callers need not remember it.
// These go through them, wherever they come from:
//
//   Change()   BalloonDown, BalloonUp, SetTarget, Unpause, Resume, StartLoad
//   Create()   Host::CreateDomain
//   Destroy()  Host::DestroyDomain
//
// Everything else may be asked of host() and its domains directly.
//
// The machine has three threads: one for the timers of balloon drivers, one for
// loads, and one in the background, which wakes these drivers and trims the
// heap.
//
// Thread safety: thread-safe.  No method may be called with a lock held.

#ifndef SIMVISOR_SERVER_MACHINE_MACHINE_H_
#define SIMVISOR_SERVER_MACHINE_MACHINE_H_

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "domain/host/host.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "domain/vm/domain_types.h"
#include "server/machine/balloon_scheduler.h"
#include "server/machine/fault_injector.h"
#include "server/machine/fault_points.h"
#include "server/machine/heap_trim.h"
#include "server/machine/load_scheduler.h"
#include "server/threads/clock.h"
#include "server/threads/executor.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

struct MachineOptions {
  // Times balloon drivers and loads.  Outlives the machine.
  Clock* clock = SystemClock();
  // Null: no faults.  Outlives the machine.
  FaultInjector* faults = nullptr;
  // When the heap is trimmed, and how; null gives back its free pages.
  HeapTrimRule trim_rule = HeapTrimRule();
  std::function<void()> trim = nullptr;
};

// The fault points just before a change and just after it.
struct ChangePoints {
  FaultPoint begin;
  FaultPoint done;
};

class Machine {
 public:
  // REQUIRES: `host` is not null.
  explicit Machine(std::unique_ptr<Host> host,
                   const MachineOptions& options = MachineOptions());
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  // Stops the balloon driver and the load at work, where they are.
  ~Machine() = default;

  Host& host() const { return *host_; }
  FaultInjector& faults() const { return *faults_; }
  Clock* clock() const { return clock_; }

  // FaultInjector::Reach() for a domain, whose name is copied only if the point
  // has a rule.
  absl::Status Reach(FaultPoint point, const Domain& domain) const {
    return faults_->Reach(point, [&domain] { return domain.name(); });
  }

  // Returns what `change`, called with the domain, returns; whether or not it
  // succeeded, what must follow has been done by then.  If `change` throws,
  // nothing follows.
  template <typename F>
  auto Change(const std::shared_ptr<Domain>& domain, F&& change)
      -> std::invoke_result_t<F&, Domain&> {
    auto result = change(*domain);
    After(domain);
    return result;
  }
  // The same between two fault points, of which the second is reached only
  // after success.  An error there is the result, and the change stays made.
  // `change` returns an absl::Status or a StatusOr.
  template <typename F>
  auto Change(const std::shared_ptr<Domain>& domain, const ChangePoints& points,
              F&& change) -> std::invoke_result_t<F&, Domain&> {
    SIMVISOR_RETURN_IF_ERROR(Reach(points.begin, *domain));
    auto result = Change(domain, change);
    if (result.ok()) {
      SIMVISOR_RETURN_IF_ERROR(Reach(points.done, *domain));
    }
    return result;
  }

  // Host::CreateDomain() between kCreateBegin and kCreateBuilt; after an error
  // at either nothing is left of the domain.
  absl::StatusOr<std::shared_ptr<Domain>> Create(const DomainSpec& spec,
                                                 bool start_paused,
                                                 StopCheck stop);
  // Host::DestroyDomain() for this very domain, with its errors; afterwards the
  // heap is trimmed if HeapTrimRule says so.
  absl::StatusOr<PageCount> Destroy(const std::shared_ptr<Domain>& domain);

 private:
  // Runs jobs on the thread in the background.
  Executor InBackground();
  // Looks at the timers that a change may have wound up.  Without memory for
  // that, a timer waits for the domain's next change.
  void After(const std::shared_ptr<Domain>& domain);

  Clock* const clock_;
  // Stands in where there is no other; takes no rules.
  FaultInjector no_faults_{/*enabled=*/false};
  FaultInjector* const faults_;
  // In the order in which they may go, last first.
  const std::unique_ptr<Host> host_;
  WorkerPool background_{1};
  HeapTrimmer heap_;
  BalloonScheduler balloons_;
  LoadScheduler loads_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_MACHINE_H_
