// The secondary MMUs of one domain: who has subscribed, what each has mapped,
// which ranges are being invalidated, and what each has still to answer.
//
// The daemon is the judge: it records every mapping that it grants, and checks
// every fault itself.  A range is open from BeginRange() until EndRange() or
// AbortRange().  A subscription that is told of its begin is told exactly once
// of its close; who is told is decided at the begin and stored.  An
// answer removes the records in the range (kProtect: makes them read-only) and
// only then counts.
//
// Each subscription has one queue of messages, events and replies, filled in
// the critical section that decides; so a begin never overtakes an `installed`.
// A subscription in this process has a SecondaryMmu object instead: its begins,
// pages and ages are answered by CallBack(), which runs on the thread of the
// change; its other messages are queued all the same.
//
// It has no clock and no thread: `now` comes from a ChangeWaiter or the server.
// It knows neither the pool nor the domain; it asks a PfnResolver for words.
//
// Calls on a subscription that has been fenced fail with ABORTED
// SECONDARY_MMU_FENCED, on one that has left or that never was with
// FAILED_PRECONDITION SECONDARY_MMU_NOT_ATTACHED, and have no effect.  Results
// of faults are messages.
//
// Lock order: the notifier lock (mu_) is a leaf below the domain's lock;
// faults, answers, renewals and fences take only it, so an answer can always
// arrive.  MmuSignal is called without it.
//
// Source: mm/mmu_notifier.c.
//
// Thread safety: thread-safe, except where a method REQUIRES the domain's lock.

#ifndef SIMVISOR_DOMAIN_SMMU_SECONDARY_MMUS_H_
#define SIMVISOR_DOMAIN_SMMU_SECONDARY_MMUS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "domain/collections/extent_set.h"
#include "domain/smmu/interval_index.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_quota.h"
#include "domain/smmu/mmu_ranges.h"
#include "domain/smmu/mmu_types.h"
#include "domain/smmu/pending_faults.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/smmu/young_questions.h"
#include "domain/units/change_waiter.h"
#include "domain/units/findings.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

struct Subscription;

// INVALID_ARGUMENT ARGUMENT_MISSING, ARGUMENT_TOO_LARGE, RANGE_INVALID,
// ARGUMENT_MALFORMED unless `spec` is within MmuLimits; with the rule kGlobal
// there may be intervals too.
absl::Status CheckMmuSpec(const Context& context, const MmuSpec& spec);

class SecondaryMmus {
 public:
  // Both must outlive it.
  SecondaryMmus(const DomainIdentity& domain, const PfnResolver& words);
  ~SecondaryMmus();

  // --- Joining and leaving ---------------------------------------------------

  // Where a subscription's messages go: a queue, whose holder is signalled
  // (`signal` may be null), or an object of this process, which must outlive
  // the subscription.
  struct Holder {
    std::shared_ptr<MmuSignal> signal;
    SecondaryMmu* object = nullptr;
  };
  // Inserts a subscription; its first message is `registered`.
  // RESOURCE_EXHAUSTED SECONDARY_MMUS_EXHAUSTED (per domain).
  // REQUIRES: the domain's lock; CheckMmuSpec() is OK; no range is open; no
  // change is under way.
  absl::StatusOr<SubscriptionId> Insert(const Context& context, MmuSpec spec,
                                        MmuQuota::Place place, Holder holder,
                                        uint64_t epoch, absl::Time now);

  // Ends a subscription: nothing names it any more, what it owes counts as
  // given, its records, requests and parked faults go, and `unregistered` is
  // its last message.  Returns once no callback of it runs.  A no-op if it has
  // left before.
  // REQUIRES: not called from a callback of this subscription, nor with a lock
  // that its callbacks take.
  void Unregister(SubscriptionId id);
  // Unregister() for callbacks of this subscription: does not wait for them.
  void Retire(SubscriptionId id);

  // Notes that a stream broke.  Not resumable: fences it at once.  Else no
  // grants until Reattach(), its events queue, and its lease goes on.
  void Detach(SubscriptionId id, absl::Time now);
  // Continues with the messages after `last_ev`, preceded by `resumed`;
  // unanswered faults are void.
  // NOT_FOUND SECONDARY_MMU_NOT_FOUND (also for a wrong token), ABORTED
  // SECONDARY_MMU_FENCED, FAILED_PRECONDITION SECONDARY_MMU_PROTOCOL if it is
  // not detached, OUT_OF_RANGE-free: INVALID_ARGUMENT ARGUMENT_MALFORMED if
  // `last_ev` was never sent or was confirmed before.
  absl::Status Reattach(const Context& context, SubscriptionId id,
                        absl::string_view token, uint64_t last_ev,
                        std::shared_ptr<MmuSignal> signal, absl::Time now);

  // Drops its records, counts its answers as given; `fenced` is its last
  // message.  Returns whether it was there and live or detached.
  bool Fence(SubscriptionId id, FenceCause cause);
  // Fences all whose lease has ended by `now`; returns when the next one ends,
  // InfiniteFuture() if none does.
  absl::Time Expire(absl::Time now);

  // --- Messages --------------------------------------------------------------

  // Takes up to `most` messages that wait for a subscription of any state, in
  // order.  Sets *over if no more will ever come.
  std::vector<mmu::Message> TakeMessages(SubscriptionId id, size_t most,
                                         bool* over);
  // Forgets a subscription that has ended, once its holder has taken its
  // messages.
  void Forget(SubscriptionId id);

  // Answered by messages.  Faults: `installed`, `resolved`, `not_mapped`,
  // `retry` or `fault_error`.
  // FAILED_PRECONDITION SECONDARY_MMU_PROTOCOL, after which it is fenced: a
  // request number that is in use, `ahead` too large.
  absl::Status Fault(SubscriptionId id, const FaultRequest& request);
  absl::Status Commit(SubscriptionId id, uint64_t req);
  // Acks of unknown, closed or answered events are ignored: false.
  absl::StatusOr<bool> Ack(SubscriptionId id, uint64_t ev, absl::Time now);
  // Only of a begin that is not blockable; else it is fenced, and the result is
  // ABORTED SECONDARY_MMU_FENCED.
  absl::Status Nack(SubscriptionId id, uint64_t ev, absl::Time now);
  // Removes records of mappings that the client has thrown out.
  absl::Status DropMappings(SubscriptionId id,
                            absl::Span<const PfnExtent> pfns);
  absl::Status Renew(SubscriptionId id, uint64_t nonce, absl::Time now);
  // REQUIRES of the client: RetryRule::kInterval, else it is fenced.
  // INVALID_ARGUMENT RANGE_INVALID (empty, overlaps, too many), and
  // OUT_OF_RANGE PFN_NOT_WATCHED if Unwatch() names no interval; these have no
  // effect.
  absl::Status Watch(SubscriptionId id, uint64_t req, PfnExtent pfns);
  absl::Status Unwatch(SubscriptionId id, uint64_t req, PfnExtent pfns);

  // Whether the device may load or store at `pfn` through its mapping, and
  // through which frame: FAILED_PRECONDITION MAPPING_STALE, MAPPING_READ_ONLY.
  // REQUIRES: the domain's lock, so that the frame stays while it is used.
  absl::StatusOr<Mfn> CheckAccess(SubscriptionId id, Pfn pfn, bool write);
  // Queues an answer that the caller has made: to an access, or to a request
  // that it has refused (mmu::FaultError).
  void Answer(SubscriptionId id, mmu::Body answer);

  // --- Changes.  REQUIRES: the domain's lock, unless a method says otherwise -

  // Whether a change must tell anyone.  One relaxed load; any thread.
  bool any() const { return live_.load(std::memory_order_relaxed) != 0; }

  // Opens a range: counts it, invalidates intervals, and tells those concerned.
  // `gate`, if not null, is opened once nothing is pending; at once if nothing
  // is.  It must stay until it is opened or the range is closed.  A nack and
  // Release() open it too.
  // REQUIRES: `pfns` are not empty, ascending and apart.
  RangeId BeginRange(std::vector<PfnExtent> pfns, InvalidateReason reason,
                     bool blockable, ChangeGate* gate, absl::Time now);
  // Begin and close of a single page in one message; EndRange() or AbortRange()
  // closes it.
  RangeId BeginPage(Pfn pfn, InvalidateReason reason, ChangeGate* gate,
                    absl::Time now);
  // Calls the objects in this process that were told of the range, and counts
  // their answers; before, End() of those that were called for ranges which
  // have been closed meanwhile.  So call it before waiting for answers, and
  // once more after the range is closed.  REQUIRES: no lock.
  void CallBack(RangeId range);
  enum class Answers { kPending, kGiven, kRefused, kClosed };
  // kClosed: the domain is dying, which has closed it.
  Answers AnswersTo(RangeId range) const;
  // Names of those whose answer to the range is pending, in the order of their
  // numbers; for messages and tests.
  std::vector<std::string> PendingOf(RangeId range) const;
  // Close a range: seq + 1, active - 1, closing messages, deferred intervals,
  // parked faults.  No-ops if it is closed.
  void EndRange(RangeId range);
  void AbortRange(RangeId range);

  // Tells all of `release`, closes every range, fails parked faults and what
  // comes later with DOMAIN_DYING (kDestroyed, kMigrated), and opens `gate`
  // when all have acknowledged or are gone.  After kShutdown nothing can be
  // registered or faulted in.
  void Release(ReleaseReason reason, std::string target, ChangeGate* gate,
               absl::Time now);
  // Calls Release() of objects.  REQUIRES: no lock.
  void CallBackRelease();

  // --- Accessed bits.  Any thread ------------------------------------------

  struct YoungAnswer {
    PfnSet young;
    uint32_t asked = 0;
    uint32_t silent = 0;  // counted as young where they map
  };
  // Questions about accessed bits; a handle of the SecondaryMmus that made it.
  class AccessedBits {
   public:
    // Asks each that maps some of `pfns` which of it is young.  `gate` is
    // opened once all have answered, and must stay until then or until
    // EndYoung(); may be null.
    uint64_t AskYoung(PfnExtent pfns, bool clear, ChangeGate* gate);
    // Objects answer; REQUIRES: no lock.
    void CallBackYoung(uint64_t question);
    // Ends a question, whether or not all have answered.
    YoungAnswer EndYoung(uint64_t question);
    // A client's answer to the message `ev`; ignored if it is unknown or late.
    // The errors of messages; SECONDARY_MMU_PROTOCOL if it has too many runs.
    absl::Status AnswerYoung(SubscriptionId id, uint64_t ev,
                             absl::Span<const PfnExtent> young);

   private:
    friend class SecondaryMmus;
    explicit AccessedBits(SecondaryMmus& mmus) : mmus_(mmus) {}

    SecondaryMmus& mmus_;
  };
  AccessedBits accessed() { return AccessedBits(*this); }

  // --- Log-dirty.  REQUIRES: the domain's lock -------------------------------

  // While it is on, the grant of a writable mapping notes its pfns.
  void SetLogging(bool on);
  // What grants have noted; TakeGranted() takes it.
  PfnSet Granted() const;
  PfnSet TakeGranted();
  // The pfns of `within` that have a writable record; all if null.
  std::vector<PfnExtent> WritableIn(const PfnSet* within) const;

  // --- What can be seen ------------------------------------------------------

  // Without epoch and waiting changes.
  MmuTotals Totals() const;
  std::vector<MmuInfo> List(absl::Time now) const;
  // Appends runs from `from` on, at most `most`; returns the pfn to go on from,
  // None() at the end.  NOT_FOUND SECONDARY_MMU_NOT_FOUND.
  absl::StatusOr<Pfn> ListMappings(SubscriptionId id, Pfn from, size_t most,
                                   std::vector<MappingRun>& runs) const;

  // Adds a finding for each invariant that does not hold; calls `check_run`
  // for each record, to compare it with words and frames.
  // REQUIRES: the domain's lock.
  void Check(Findings& findings,
             absl::FunctionRef<void(const MappingRun&)> check_run) const;

 private:
  using Subscriptions =
      absl::btree_map<SubscriptionId, std::shared_ptr<Subscription>>;
  using Signals = std::vector<std::shared_ptr<MmuSignal>>;
  enum class Closing { kEnd, kAbort, kRelease };

  // Holds the notifier lock; then signals those whose messages were queued.
  class ABSL_SCOPED_LOCKABLE Step {
   public:
    Step(absl::Mutex* mu, Signals* signals) ABSL_EXCLUSIVE_LOCK_FUNCTION(mu)
        : mu_(mu), signals_(signals) {
      mu_->Lock();
    }
    ~Step() ABSL_UNLOCK_FUNCTION();

   private:
    absl::Mutex* const mu_;
    Signals* const signals_;
  };

  // A begin that an object is to be told of.
  struct RangeCall {
    std::shared_ptr<Subscription> called;
    uint64_t ev;
    bool page;
    mmu::RangeBegin begin;
  };
  // A closed range that an object is still to be told of.
  struct ClosedCall {
    std::shared_ptr<Subscription> called;
    RangeId range;
    uint64_t seq;
    bool aborted;
  };

  absl::Status Refuse(absl::string_view operation, SubscriptionId id,
                      absl::StatusCode code, Reason reason,
                      absl::string_view text) const;
  absl::Status FencedError(absl::string_view operation,
                           SubscriptionId id) const;
  // Null if there never was one, or it has been forgotten.
  Subscription* Find(SubscriptionId id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The subscription whose holder calls, unless it may not.
  absl::StatusOr<Subscription*> Attached(absl::string_view operation,
                                         SubscriptionId id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  uint64_t Send(Subscription& to, mmu::Body body)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  void Leave(Subscription& leaving, SubscriptionState end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LeaveAsGone(Subscription& leaving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void FenceNow(Subscription& fenced, FenceCause cause, absl::Status status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status BreakProtocol(absl::string_view operation, Subscription& breaker,
                             absl::string_view text)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void EndCallBack(Subscription& called) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StaySilent(Subscription& silent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  absl::Status ReleasedError(absl::string_view operation,
                             SubscriptionId id) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AnswerFault(Subscription& to, const FaultRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Resolve(Subscription& to, const FaultRequest& request,
               const IntervalIndex::Interval& interval)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasChanged(const Subscription& from,
                  const PendingFaults::Resolved& fault) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendRetry(Subscription& to, uint64_t req, RetryCause cause)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendNotWatched(Subscription& to, uint64_t req, Pfn pfn)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Install(Subscription& to, uint64_t req, const MappingRun& run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsInvalidating(const Subscription& to,
                      const IntervalIndex::Interval& interval) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The run of frames that a fault finds at its pfn and those that follow.
  MappingRun RunFor(const Subscription& to, const FaultRequest& request,
                    P2mWord word, const IntervalIndex::Interval& interval) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  RangeId Open(MmuRanges::Range range, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Tell(Subscription& to, RangeId id, MmuRanges::Range& range,
            absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Acknowledge(Subscription& by, uint64_t ev, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Close(RangeId id, Closing how) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TellClosed(RangeId id, const MmuRanges::Told& told, Closing how)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What waited for the last range to close.
  void Settle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OpenReleaseGates() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::optional<RangeCall> NextCall(RangeId id) ABSL_LOCKS_EXCLUDED(mu_);
  void Answered(Subscription& called, uint64_t ev) ABSL_LOCKS_EXCLUDED(mu_);
  void CallBackClosed() ABSL_LOCKS_EXCLUDED(mu_);
  static void CountSilent(const Subscription& silent,
                          YoungQuestions::Question& question);
  void TakeYoung(Subscription& by, uint64_t ev, const PfnSet& young)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  void CheckSubscription(const Subscription& checked, Findings& findings) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CheckOwing(const Subscription& owing, uint64_t ev, RangeId id,
                  Findings& findings) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CheckRange(RangeId id, const MmuRanges::Range& range,
                  Findings& findings) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const DomainIdentity& domain_;
  const PfnResolver& words_;
  std::atomic<uint32_t> live_ = 0;  // subscriptions that have not ended

  mutable absl::Mutex mu_;
  // By number; those that have ended too, until they are forgotten.
  Subscriptions subscriptions_ ABSL_GUARDED_BY(mu_);
  MmuRanges ranges_ ABSL_GUARDED_BY(mu_);
  IntervalClock clock_ ABSL_GUARDED_BY(mu_);
  YoungQuestions questions_ ABSL_GUARDED_BY(mu_);
  std::vector<ClosedCall> closed_calls_ ABSL_GUARDED_BY(mu_);
  Signals signals_ ABSL_GUARDED_BY(mu_);
  std::optional<mmu::Release> release_ ABSL_GUARDED_BY(mu_);
  std::vector<ChangeGate*> release_gates_ ABSL_GUARDED_BY(mu_);
  bool logging_ ABSL_GUARDED_BY(mu_) = false;
  PfnSet granted_ ABSL_GUARDED_BY(mu_);
  uint64_t fences_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_SECONDARY_MMUS_H_
