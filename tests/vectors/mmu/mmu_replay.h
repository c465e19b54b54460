// The operations of the cases about secondary MMUs, on a domain.
//
// Each change is a job of a BatonWaiter; each step ends once all jobs wait.
// In a result, a key that begins with "?" need not be in the expectation.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_MMU_MMU_REPLAY_H_
#define SIMVISOR_TESTS_VECTORS_MMU_MMU_REPLAY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/allocation_faults.h"
#include "tests/domain/smmu/baton_waiter.h"
#include "tests/vectors/mmu/mmu_client.h"
#include "tests/vectors/mmu/mmu_guest.h"
#include "tests/vectors/operations.h"

namespace simvisor {

class MmuReplay {
 public:
  MmuReplay();
  // Ends what still waits.
  ~MmuReplay();

  void AddTo(Operations& operations);
  // Expects the audit to be clean.
  void Check();

  // Whether `got` is what a step expects.
  static bool Matches(const Json& expected, const Json& got);

 private:
  using Job = BatonWaiter::Job;

  // Fails subscriptions once `left` have been allocated.
  class Memory final : public AllocationFaults {
   public:
    std::optional<uint64_t> left;
    bool MayFail(AllocationSite site) const override {
      return site == AllocationSite::kSecondaryMmu && left.has_value();
    }
    bool FailNow(AllocationSite site) override {
      if (!MayFail(site)) return false;
      if (*left == 0) return true;
      --*left;
      return false;
    }
  };
  // What a change has come to, and whom it waits for.
  struct Change {
    Json result;  // once it has ended
    uint64_t range = 0;
    std::map<std::string, uint64_t> asked;  // of a question: message numbers
    bool destroys = false;
  };
  using Run = std::function<absl::Status(const Operation&, Json& result)>;

  void AddChanges(Operations& operations);
  void AddClients(Operations& operations);

  // Looks.
  Json Boot(const Json& step);
  Json LimitMemory(const Json& step);
  Json Subscriptions(const Json& step);
  Json Mapped(const Json& step);
  Json Inbox(const Json& step);
  Json Counters(const Json& step);
  Json Lookup(const Json& step);
  // Changes.
  Json Register(const Json& step);
  Json Begin(const Json& step);
  Json End(const Json& step);
  Json Page(const Json& step);
  Json GraceOver(const Json& step);
  Json Cancel(const Json& step);
  Json Outcome(const Json& step);
  Json BalloonDown(const Json& step);
  Json SetP2m(const Json& step);
  Json ForeignUnmap(const Json& step);
  Json Suspend(const Json& step);
  Json Resume(const Json& step);
  Json Destroy(const Json& step);
  Json Arrive(const Json& step);
  Json LogDirtyStart(const Json& step);
  Json LogDirtyClean(const Json& step);
  Json LogDirtyStop(const Json& step);
  Json GuestWrite(const Json& step);
  Json Young(const Json& step);
  // Clients.
  Json Ack(const Json& step);
  Json Nack(const Json& step);
  Json Fault(const Json& step);
  Json FaultNow(const Json& step);
  Json Commit(const Json& step);
  Json Drop(const Json& step);
  Json Access(const Json& step);
  Json Watch(const Json& step);
  Json Unwatch(const Json& step);
  Json YoungReply(const Json& step);
  Json YoungTimeout(const Json& step);
  Json Unregister(const Json& step);
  Json EnterCallback(const Json& step);
  Json LeaveCallback(const Json& step);
  Json Tick(const Json& step);
  Json Renew(const Json& step);
  Json Cut(const Json& step);
  Json Reattach(const Json& step);

  // Starts a change, and returns how it stands.
  Json Start(const std::string& id, const Json& step, Run run);
  Json StateOf(const std::string& id);
  Json WithCounters(Json result);
  // The pfns of the window, as a case numbers them.
  Json PfnsIn(const PfnSet& pfns);
  // Lets changes go on, and clients take their messages.
  void Settle();
  void TakeAll();
  Json FaultFor(const Json& step, bool two_step);
  Json AnswerOf(MmuClient& client, uint64_t req);
  Json Answered(const absl::Status& status);
  std::vector<std::string> Pending(const Job& job);
  std::string StateOf(const MmuClient& client);

  // A client by its name; one that has never been registered is made.
  MmuClient& Client(const Json& step);
  std::shared_ptr<SecondaryMmus> mmus() {
    return guest_->domain().mmus().Find();
  }

  Memory memory_;
  BatonWaiter waiter_;
  std::vector<std::unique_ptr<MmuClient>> clients_;
  std::map<std::string, Change> changes_;
  std::optional<MmuGuest> guest_;
  uint64_t suspension_ = 0;
  bool suspended_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_MMU_MMU_REPLAY_H_
