// The machine that calls work on: the host, and everything that happens on it
// without a call or as a consequence of one.
//
// A change may start the timer of a guest's balloon driver, or let a guest's
// load run; a destroyed domain leaves free memory in the heap.  Change(),
// Create() and Destroy() do what must follow, so that their callers need not
// remember it.  These go through them, whatever the caller:
//
//   Change()   BalloonDown, BalloonUp, SetTarget, Unpause, Resume, StartLoad
//   Create()   Host::CreateDomain
//   Destroy()  Host::DestroyDomain
//
// Everything else may be called on host() and its domains directly.
//
// The machine has four threads: one for the timers of balloon drivers, one for
// loads, one for the leases of secondary MMUs, and one in the background, which
// wakes these drivers and trims the heap.  Drivers of domains with secondary
// MMUs, which may have to wait, wake on further threads, made when needed.
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
#include "absl/time/time.h"
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
#include "server/machine/mmu_registry.h"
#include "server/threads/clock.h"
#include "server/threads/executor.h"
#include "server/threads/wait_pool.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

struct MachineOptions {
  // Times balloon drivers and loads.  Outlives the machine.
  Clock* clock = SystemClock();
  // Null: no faults.  Outlives the machine.
  FaultInjector* faults = nullptr;
  // When the heap is trimmed, and how; null: returns its free pages.
  HeapTrimRule trim_rule = HeapTrimRule();
  std::function<void()> trim = nullptr;
  // How long a change that does not wait for secondary MMUs gives them to
  // answer.
  absl::Duration mmu_grace = absl::Milliseconds(5);
};

// The fault points just before and just after a change.
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
  // Stops a balloon driver and a load that are running, wherever they are.
  ~Machine() = default;

  Host& host() const { return *host_; }
  FaultInjector& faults() const { return *faults_; }
  Clock* clock() const { return clock_; }
  MmuRegistry& mmus() { return mmus_; }
  absl::Duration mmu_grace() const { return mmu_grace_; }

  // FaultInjector::Reach() for a domain, whose name is copied only if the point
  // has a rule.
  absl::Status Reach(FaultPoint point, const Domain& domain) const {
    return faults_->Reach(point, [&domain] { return domain.name(); });
  }

  // Calls `change` with the domain, does what must follow, whether or not
  // `change` succeeded, and returns the result of `change`.  If `change`
  // throws, nothing follows.
  template <typename F>
  auto Change(const std::shared_ptr<Domain>& domain, F&& change)
      -> std::invoke_result_t<F&, Domain&> {
    auto result = change(*domain);
    PassTimers(domain);
    return result;
  }
  // The same between two fault points; the second is reached only after
  // success.  An error there becomes the result, but the change stays in
  // effect.  `change` returns an absl::Status or a StatusOr.
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

  // Host::CreateDomain() between the fault points kCreateBegin and
  // kCreateBuilt; an error at either leaves no domain behind.
  absl::StatusOr<std::shared_ptr<Domain>> Create(const DomainSpec& spec,
                                                 bool start_paused,
                                                 StopCheck stop);
  // Host::DestroyDomain() for this very domain, with the same errors; then
  // trims the heap if HeapTrimRule says so.
  absl::StatusOr<PageCount> Destroy(const std::shared_ptr<Domain>& domain);

  // Trims the heap if HeapTrimRule says so.  Call it when a domain that came in
  // was given up and its memory is free; Destroy() calls it.
  void NoteGone();

 private:
  // Runs jobs on the background thread.
  Executor InBackground();
  // Runs jobs that may wait for secondary MMUs.
  Executor WhereItMayWait();
  // Passes the domain's timers to the schedulers after a change.  If there is
  // no memory for that, a timer waits for the domain's next change.
  void PassTimers(const std::shared_ptr<Domain>& domain);

  Clock* const clock_;
  // Used if there is no other; accepts no rules.
  FaultInjector no_faults_{/*enabled=*/false};
  FaultInjector* const faults_;
  // Destroyed from the last to the first.
  const std::unique_ptr<Host> host_;
  const absl::Duration mmu_grace_;
  WorkerPool background_{1};
  WaitPool waits_;
  MmuRegistry mmus_;
  HeapTrimmer heap_;
  BalloonScheduler balloons_;
  LoadScheduler loads_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_MACHINE_H_
