// A client of secondary MMUs that follows the rules of docs/secondary-mmu.md:
// prompt, slow, stuck or broken.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_CLIENT_ACTOR_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_CLIENT_ACTOR_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "domain/smmu/mmu_messages.h"
#include "tests/domain/smmu/explorer/world.h"

namespace simvisor {

struct ClientPlan {
  // What it does by itself, one after the other.
  struct Move {
    enum class Kind {
      kFault,
      kCommit,  // once the fault `req` is resolved
      kUnwatch,
      kWatch,
      kUnregister,
    };
    Kind kind;
    FaultRequest fault = {};  // kCommit: only its req
    PfnExtent pfns = {};
  };

  MmuSpec spec;
  std::vector<Move> moves;
  bool registered = true;     // from the beginning; else a change registers it
  bool late_answers = false;  // an answer is on its way for a while
  bool may_refuse = false;    // nacks what it may
  bool stuck = false;         // handles nothing after `registered`
  bool breaks = false;        // its stream breaks, once, at any time
  int resumes = 0;            // how often it comes back
  int renewals = 0;
};

class ClientActor : public Actor {
 public:
  ClientActor(World& world, ClientPlan plan);

  // Registers it.  REQUIRES: the claim of a registration is admitted.
  void Register();

  void AddOptions(std::vector<int>& options) const override;
  void Take(int option) override;
  // Takes the next message off the daemon's queue, as a stream does.
  void Settle() override;
  bool ended() const override { return true; }
  void Check() const override;
  void CheckEnd() const override;
  void AddWritable(std::set<uint64_t>& pfns) const override;
  void AppendState(std::string& text) const override;
  std::string Describe(int option) const override;

 private:
  enum Option { kHandle, kRefuse, kAnswer, kMove, kRenew, kBreak, kResume };
  struct Mapping {
    uint64_t mfn;
    bool writable;
  };

  struct Resolved {
    uint64_t mfn, seq;
  };

  bool Usable() const;
  bool MayMove() const;
  void Handle(bool refuse);
  void HandleReply(const mmu::Body& body);
  void HandleBegin(const mmu::RangeBegin& begin, uint64_t ev, bool refuse);
  void HandleClose(RangeId range);
  void HandleInstalled(const mmu::Installed& installed);
  void DropIn(PfnExtent pfns, bool only_writable);
  void GoneForEver();
  void Acknowledge(uint64_t ev);
  void SendAnswer();
  void Move();
  void Break();
  void Resume();

  World& world_;
  const ClientPlan plan_;
  SubscriptionId id_{};
  std::string token_;
  bool attached_ = false;
  bool gone_ = false;  // its last message has come, or it has left
  bool left_ = false;
  absl::Time usable_until_, registered_at_;
  std::optional<mmu::Message> next_;
  uint64_t last_ev_ = 0;
  std::string lost_;  // what it had not handled when its stream broke
  std::map<uint64_t, Mapping> table_;
  std::set<uint64_t> open_;                // ranges that it was told of
  std::map<uint64_t, Resolved> resolved_;  // by req
  std::deque<uint64_t> answers_;           // acknowledgements on their way
  std::map<uint64_t, absl::Time> renewals_;
  size_t moves_done_ = 0;
  int breaks_left_, resumes_left_, renewals_left_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_CLIENT_ACTOR_H_
