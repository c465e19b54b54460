// One domain with its changes and its clients, of which each step is taken by a
// scheduler: no threads, no clock.
//
// A step is what happens without a pause in a daemon: one hold of the domain's
// lock, one call into SecondaryMmus, one message that a client handles.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_WORLD_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_WORLD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "domain/smmu/mmu_quota.h"
#include "domain/smmu/pfn_claims.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/units/domain_identity.h"
#include "domain/units/operation.h"
#include "tests/domain/smmu/explorer/machine.h"

namespace simvisor {

class World;

// A change or a client.
class Actor {
 public:
  virtual ~Actor() = default;
  // Adds the steps that it can take now.
  virtual void AddOptions(std::vector<int>& options) const = 0;
  virtual void Take(int option) = 0;
  // Called after each step of any actor.
  virtual void Settle() {}
  // Whether it has nothing left that must happen.
  virtual bool ended() const = 0;
  // What must hold after each step of any actor.
  virtual void Check() const {}
  // What must hold once nothing can happen any more.
  virtual void CheckEnd() const {}
  // Adds the pfns at which it may store.
  virtual void AddWritable(std::set<uint64_t>&) const {}
  // Everything that its further steps depend on.
  virtual void AppendState(std::string& text) const = 0;
  virtual std::string Describe(int option) const = 0;
};

// What a migration knows of pages that were written.
struct ExplorerLog {
  bool armed = false;
  std::set<uint64_t> dirty;
  std::set<uint64_t> cleaning;  // taken from the log, and not read yet
};

class World {
 public:
  struct Step {
    size_t actor;  // that of time is the number of actors
    int option;
  };

  World(uint64_t pages, uint64_t spare, int ticks)
      : machine(pages, spare), mmus(identity, machine), ticks_left_(ticks) {}

  void AddActor(std::unique_ptr<Actor> actor) {
    actors_.push_back(std::move(actor));
  }
  // Call it once all actors are added.
  std::vector<Step> Steps() const;
  void Take(Step step);
  std::string Describe(Step step) const;

  // Looks for what must not be.
  void Check();
  // A text that two worlds share only if they go on alike.  Spoils the world:
  // it takes what waits in queues.
  std::string TakeState();
  void CheckEnd();

  template <typename... Parts>
  void Violate(const Parts&... parts) const {
    if (violation_.empty()) violation_ = absl::StrCat(parts...);
  }
  // The first violation; empty without one.
  const std::string& violation() const { return violation_; }

  Context context() const { return {identity, "explore"}; }

  // --- What actors share -----------------------------------------------------
  DomainIdentity identity{DomainId(1), "web"};
  ExplorerMachine machine;
  MmuQuota quota;
  PfnClaims claims;
  SecondaryMmus mmus;
  ExplorerLog log;
  absl::Time now = absl::UnixEpoch();
  bool dying = false;
  std::optional<RangeId> suspended;  // and the range that is open meanwhile
  bool has_objects = false;          // whom changes call back
  // The change that has the domain's lock from one step to the next.
  const Actor* holder = nullptr;
  // Claims in the order in which they came: the actor, and what it claims.
  std::vector<std::pair<const Actor*, PfnClaims::Queue::iterator>> queue;
  // Who hears of ranges in which order, on which sequences of intervals depend.
  std::string ranges;

 private:
  // `others`: an actor can take a step.
  bool MayTick(bool others) const;
  void Tick();
  void CheckClaims() const;
  void CheckLog(const std::set<uint64_t>& granted) const;

  std::vector<std::unique_ptr<Actor>> actors_;
  int ticks_left_;
  int late_ticks_ = 0;
  mutable std::string violation_;
};

inline constexpr absl::Duration kExplorerLease = absl::Milliseconds(100);
inline constexpr absl::Duration kExplorerTick = absl::Milliseconds(50);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_WORLD_H_
