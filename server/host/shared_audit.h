// Audits of the machine that callers share.
//
// While an audit runs, changes of all domains wait, so callers that ask
// meanwhile do not get a run each: the next run begins when this one has ended,
// and answers all of them.  So each caller gets the result of a run that began
// after it asked, and however many callers there are, runs never overlap.  A
// waiting caller costs no thread, and can leave; a run stops when its last
// caller has left.
//
// Thread safety: thread-safe.  No lock is held while callers are answered.

#ifndef SIMVISOR_SERVER_HOST_SHARED_AUDIT_H_
#define SIMVISOR_SERVER_HOST_SHARED_AUDIT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "domain/host/host.h"
#include "domain/vm/domain_types.h"
#include "server/threads/job_queue.h"

namespace simvisor::server {

class SharedAudit : public std::enable_shared_from_this<SharedAudit> {
 public:
  using Run = std::function<absl::Status(StopCheck, AuditReport&)>;
  // Runs a job on the threads for long work, or refuses it.
  using Submit = std::function<absl::Status(CallJob&)>;
  using Done =
      absl::AnyInvocable<void(const absl::Status&, const AuditReport&)>;
  using Ticket = uint64_t;

  // Submitted jobs keep the object alive; everything that `run` uses must
  // outlive them.
  static std::shared_ptr<SharedAudit> Create(Run run, Submit submit,
                                             size_t max_waiting) {
    return std::shared_ptr<SharedAudit>(
        new SharedAudit(std::move(run), std::move(submit), max_waiting));
  }

  // Calls `done` once, perhaps before this returns: with the result of a run
  // that begins after this call, or with RESOURCE_EXHAUSTED CALLS_EXHAUSTED if
  // too many callers wait.  Returns the ticket for Leave().
  Ticket Ask(Done done) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the wait of one caller: its `done` will not be called.  False if it
  // has been called, or is about to be.
  bool Leave(Ticket ticket) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Callers = std::map<Ticket, Done>;

  SharedAudit(Run run, Submit submit, size_t max_waiting)
      : run_(std::move(run)),
        submit_(std::move(submit)),
        max_waiting_(max_waiting) {}

  // Submits the next run; if it is refused, its callers get that error.
  void Start() ABSL_LOCKS_EXCLUDED(mu_);
  void Work() ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a caller waits for the current run.
  bool IsWanted() const ABSL_LOCKS_EXCLUDED(mu_);
  static void Answer(Callers& callers, const absl::Status& status,
                     const AuditReport& report);

  const Run run_;
  const Submit submit_;
  const size_t max_waiting_;

  mutable absl::Mutex mu_;
  Ticket last_ticket_ ABSL_GUARDED_BY(mu_) = 0;
  // A run is submitted or running.
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  Callers waiting_ ABSL_GUARDED_BY(mu_);  // for the next run
  Callers served_ ABSL_GUARDED_BY(mu_);   // by the current run
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_SHARED_AUDIT_H_
