// A plain model of the secondary MMUs of one domain, to compare SecondaryMmus
// with.
//
// It follows docs/secondary-mmu.md word by word and pfn by pfn: records are a
// map from pfn to frame, a range is a list of extents that is searched, and
// every message that was ever sent is kept.  It is slow and has no locks.
//
// Results are names of reasons, and empty if the call succeeds.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_MMU_MODEL_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_MMU_MODEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

class MmuModel {
 public:
  using Words = std::function<P2mWord(uint64_t pfn)>;
  using Result = std::string;

  struct Mapping {
    uint64_t mfn;
    bool writable;
    friend bool operator==(const Mapping&, const Mapping&) = default;
  };
  using Mappings = std::map<uint64_t, Mapping>;  // by pfn

  // What of a subscription is compared, besides its messages.
  struct Seen {
    SubscriptionState state;
    Mappings mappings;
    absl::Duration lease_left;
    uint64_t unanswered = 0;  // events
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  struct Figures {
    uint64_t subscriptions = 0, mapped = 0, open_ranges = 0, seq = 0;
    uint64_t interval_seq = 0, fences = 0;
    friend bool operator==(const Figures&, const Figures&) = default;
  };
  enum class Answers { kPending, kGiven, kRefused, kClosed };
  struct YoungAnswer {
    std::set<uint64_t> young;
    uint64_t asked = 0, silent = 0;
  };

  explicit MmuModel(Words words) : words_(std::move(words)) {}

  // --- Joining and leaving ---------------------------------------------------
  // `in_process`: an object is called, and there is no lease.
  Result Insert(uint64_t id, const MmuSpec& spec, bool in_process,
                uint64_t epoch, absl::Time now);
  void Unregister(uint64_t id);
  void Detach(uint64_t id);
  Result Reattach(uint64_t id, uint64_t last_ev);
  bool Fence(uint64_t id, FenceCause cause);
  absl::Time Expire(absl::Time now);

  // --- Messages of clients ---------------------------------------------------
  Result Fault(uint64_t id, const FaultRequest& request);
  Result Commit(uint64_t id, uint64_t req);
  // Sets *counted if the answer was one that was owed.
  Result Ack(uint64_t id, uint64_t ev, absl::Time now, bool* counted);
  Result Nack(uint64_t id, uint64_t ev, absl::Time now);
  Result AnswerYoung(uint64_t id, uint64_t ev,
                     const std::vector<PfnExtent>& young);
  Result DropMappings(uint64_t id, const std::vector<PfnExtent>& pfns);
  Result Renew(uint64_t id, uint64_t nonce, absl::Time now);
  Result Watch(uint64_t id, uint64_t req, PfnExtent pfns);
  Result Unwatch(uint64_t id, uint64_t req, PfnExtent pfns);
  Result CheckAccess(uint64_t id, uint64_t pfn, bool write, uint64_t* mfn);
  void Answer(uint64_t id, const mmu::Body& answer);

  // --- Changes ---------------------------------------------------------------
  uint64_t BeginRange(std::vector<PfnExtent> pfns, InvalidateReason reason,
                      bool blockable);
  uint64_t BeginPage(uint64_t pfn, InvalidateReason reason);
  // Calls the objects that were told of the range, after those of ranges that
  // have been closed; `inside` is what an object does in the call, before its
  // answer counts.
  void CallBack(uint64_t range, const std::function<void(uint64_t id)>& inside);
  Answers AnswersTo(uint64_t range) const;
  std::vector<std::string> PendingOf(uint64_t range) const;
  void Close(uint64_t range, bool aborted);
  // Objects are called, and acknowledge it.
  void Release(ReleaseReason reason, const std::string& target);
  // Whether all have acknowledged the release or are gone.
  bool Released() const;

  // --- Accessed bits, log-dirty ----------------------------------------------
  // `by_object` is what objects answer at once.
  uint64_t AskYoung(PfnExtent pfns, bool clear,
                    const std::vector<PfnExtent>& by_object);
  bool YoungAnswered(uint64_t question) const;
  YoungAnswer EndYoung(uint64_t question);
  void SetLogging(bool on);
  std::set<uint64_t> TakeGranted();
  std::set<uint64_t> WritablePfns() const;

  // --- What can be seen ------------------------------------------------------
  // At most `most` messages that were not taken.
  std::vector<mmu::Message> TakeMessages(uint64_t id, size_t most);
  bool HasMessages(uint64_t id) const;
  // The calls of an object since the last call, as texts.
  std::vector<std::string> TakeCalls(uint64_t id);
  Seen Look(uint64_t id, absl::Time now) const;
  Figures Count() const;

 private:
  struct Interval {
    uint64_t key;  // tells an interval from a later one of the same pfns
    PfnExtent pfns;
    uint64_t seq = 0;
    bool adding = false;    // its insertion is deferred
    bool removing = false;  // its removal is deferred
  };
  struct Request {
    FaultRequest fault;
    bool parked = false;
    uint64_t sample = 0;
    uint64_t interval = 0;        // its key, with RetryRule::kInterval
    uint64_t mfn = 0, count = 0;  // what is installed by a commit
  };
  struct Owing {
    uint64_t range = 0;  // 0: the release
    bool may_refuse = false;
  };
  struct Subscription {
    uint64_t id = 0;
    MmuSpec spec;
    SubscriptionState state = SubscriptionState::kLive;
    bool in_process = false;
    std::vector<std::string> calls;
    absl::Time lease_until;
    std::vector<mmu::Message> sent;  // number n is at n - 1
    size_t taken = 0;
    bool resumed = false;  // `resumed` precedes what is taken next
    uint64_t confirmed = 0;
    Mappings mappings;
    std::vector<Interval> intervals;     // of RetryRule::kInterval
    std::vector<uint64_t> unwatches;     // whose answers are deferred
    std::vector<Request> requests;       // in the order in which they came
    std::map<uint64_t, Owing> owing;     // by ev
    std::map<uint64_t, uint64_t> young;  // ev -> question
  };
  struct Range {
    std::vector<PfnExtent> pfns;
    InvalidateReason reason;
    bool page = false;
    std::set<uint64_t> told, pending, called;
    bool refused = false;
  };
  struct Question {
    PfnExtent pfns;
    YoungAnswer answer;
    std::set<uint64_t> pending;
  };

  // A closed range that objects are still to be told of.
  struct ClosedCall {
    uint64_t id;
    std::string text;
  };

  static bool Here(const Subscription& sub) {
    return sub.state == SubscriptionState::kLive ||
           sub.state == SubscriptionState::kDetached;
  }
  Result Attached(uint64_t id) const;
  Result Protocol(uint64_t id);
  uint64_t Send(Subscription& sub, mmu::Body body);
  void FailFault(Subscription& sub, uint64_t req, absl::StatusCode code,
                 Reason reason);
  // Fails a fault since all were released.
  void FailDying(Subscription& sub, uint64_t req);
  static void RenewLease(Subscription& sub, absl::Time now);
  // Leaves with `state`: everything that it has and owes is gone.
  void Leave(Subscription& sub, SubscriptionState state);
  void EndSilence(Subscription& sub, bool counts_as_young);

  const Interval* FindInterval(const Subscription& sub, uint64_t pfn) const;
  bool IsWatched(const Subscription& sub, uint64_t pfn) const;
  // Whether an open range, or a deferred insertion, stops a fault at `pfn`.
  bool IsStopped(const Subscription& sub, uint64_t pfn) const;
  uint64_t SampleFor(const Subscription& sub, uint64_t pfn) const;
  bool HasChanged(const Subscription& sub, const Request& request) const;
  bool SameInterval(const Subscription& sub, uint64_t a, uint64_t b) const;
  // Answers a fault that nothing stops.
  void Resolve(Subscription& sub, const FaultRequest& fault);
  // How many pages from the fault's on one answer may map.
  uint64_t CountAhead(const Subscription& sub, const FaultRequest& fault) const;
  void Install(Subscription& sub, const Request& request);

  bool IsConcerned(const Subscription& sub, const Range& range) const;
  bool HasMappings(const Subscription& sub, const Range& range) const;
  // Returns the number of the message that is to be acknowledged.
  uint64_t SendBegin(Subscription& sub, uint64_t number, const Range& range,
                     bool blockable);
  void CallBackYoung(uint64_t question, const std::vector<PfnExtent>& young);
  bool CannotTell(const Subscription& sub) const;
  void HitIntervals(const Range& range);
  uint64_t Open(Range range, bool blockable);
  // What the last end of an open range does.
  void Settle();
  void DoDeferredEdits();
  static std::vector<Request> TakeParked(Subscription& sub);
  void AnswerParked();

  const Words words_;
  std::map<uint64_t, Subscription> subs_;
  std::map<uint64_t, Range> ranges_;  // that are open
  std::vector<ClosedCall> closed_calls_;
  std::map<uint64_t, Question> questions_;
  uint64_t last_range_ = 0, last_question_ = 0, last_interval_ = 0;
  uint64_t seq_ = 0, iseq_ = 2, fences_ = 0;
  bool dying_ = false;
  Reason released_{};  // with which faults fail then
  bool logging_ = false;
  std::set<uint64_t> granted_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_MMU_MODEL_H_
