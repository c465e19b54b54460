// SecondaryMmus and MmuModel side by side: each call goes to both, and a result
// that differs is a failure of the test.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_MMU_PAIR_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_MMU_PAIR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "domain/smmu/mmu_quota.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/units/change_waiter.h"
#include "domain/units/domain_identity.h"
#include "tests/domain/smmu/model/mmu_model.h"

namespace simvisor {

// Words that a test sets, one by one.
class FakeWords : public PfnResolver {
 public:
  explicit FakeWords(uint64_t size) : words_(size) {}

  P2mWord Lookup(Pfn pfn) const override {
    return pfn.value() < words_.size() ? words_[pfn.value()] : P2mWord();
  }
  void Set(uint64_t pfn, P2mWord word) { words_[pfn] = word; }
  uint64_t size() const { return words_.size(); }

 private:
  std::vector<P2mWord> words_;
};

// An object of this process, which notes how it is called.
class FakeMmu : public SecondaryMmu {
 public:
  void Begin(const mmu::RangeBegin& range) override;
  void Page(const mmu::PageInvalidate& page) override;
  void End(RangeId range, uint64_t seq, bool aborted) override;
  PfnSet Young(PfnExtent pfns, bool clear) override;
  void Release(const mmu::Release& release) override;

  std::vector<std::string> calls;
  // What it does in the next call of a begin or page.
  std::function<void()> inside;
};

class MmuPair {
 public:
  // What a client has been told of its subscription.
  struct Client {
    uint64_t id = 0;
    MmuSpec spec;
    std::string token;
    uint64_t last_ev = 0;         // that it has taken
    uint64_t confirmed = 0;       // the latest that it has answered
    std::set<uint64_t> events;    // that it has to answer, or had
    std::set<uint64_t> young;     // questions that it has to answer, or had
    std::set<uint64_t> resolved;  // faults that it may commit
    std::set<uint64_t> parked;    // faults without an answer
    bool over = false;
    std::unique_ptr<FakeMmu> object;  // null: it takes messages from a queue
    // What the object does in its next call.
    std::optional<FaultRequest> fault_inside;
    bool retire_inside = false;
  };
  // A range that a change has opened.
  struct Change {
    uint64_t range = 0;
    std::vector<PfnExtent> pfns;
    InvalidateReason reason{};
    std::unique_ptr<ChangeGate> gate;
    bool finished = false;
  };
  struct Question {
    uint64_t library = 0, model = 0;
    std::unique_ptr<ChangeGate> gate;
  };

  explicit MmuPair(FakeWords& words);

  void Register(const MmuSpec& spec, bool in_process);
  void Unregister(Client& client);
  void Retire(Client& client);
  void Detach(Client& client);
  void Reattach(Client& client, uint64_t last_ev, bool right_token);
  void Fence(Client& client);
  void Expire(absl::Duration later);
  // `client`, which is over, is gone.
  void Forget(Client& client);

  void Fault(Client& client, const FaultRequest& request);
  void Commit(Client& client, uint64_t req);
  void Ack(Client& client, uint64_t ev);
  void Nack(Client& client, uint64_t ev);
  void AnswerYoung(Client& client, uint64_t ev,
                   const std::vector<PfnExtent>& young);
  void Drop(Client& client, const std::vector<PfnExtent>& pfns);
  void Renew(Client& client, uint64_t nonce);
  void Watch(Client& client, uint64_t req, PfnExtent pfns);
  void Unwatch(Client& client, uint64_t req, PfnExtent pfns);
  void Access(Client& client, uint64_t pfn, bool write, uint64_t req);

  void Begin(std::vector<PfnExtent> pfns, InvalidateReason reason,
             bool blockable);
  void BeginPage(uint64_t pfn, InvalidateReason reason);
  SecondaryMmus::Answers AnswersTo(const Change& change) const;
  void Close(Change& change, bool aborted);
  void Release(ReleaseReason reason);
  void Ask(PfnExtent pfns, bool clear);
  void EndQuestion(size_t number);
  void SetLogging(bool on);
  void TakeGranted();
  void CompareWritable(PfnExtent within);

  // Takes up to `most` messages of each client from both and compares them, and
  // all that can be seen.
  void Compare(size_t most);

  SubscriptionState StateOf(const Client& client) const;
  bool dying() const { return dying_; }
  std::deque<Client>& clients() { return clients_; }
  std::deque<Change>& changes() { return changes_; }
  std::vector<Question>& questions() { return questions_; }

 private:
  // What a client has answered it has received.
  static void NoteAnswer(Client& client, uint64_t ev);
  void CompareClient(Client& client, size_t most);
  void CompareChanges() const;
  void CompareTotals() const;
  void Check() const;
  void CallBack(uint64_t range);
  void Note(Client& client, const mmu::Message& message);
  void CompareList(const Client& client, const MmuInfo& info);
  MmuModel::Mappings LibraryMappings(uint64_t id) const;

  FakeWords& words_;
  DomainIdentity identity_{DomainId(1), "web"};
  MmuQuota quota_;
  SecondaryMmus library_;
  MmuModel model_;
  absl::Time now_ = absl::UnixEpoch();
  std::deque<Client> clients_;
  std::deque<Change> changes_;
  std::vector<Question> questions_;
  ChangeGate released_;
  bool dying_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_MMU_PAIR_H_
