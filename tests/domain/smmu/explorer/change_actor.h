// A change of a domain in the steps of docs/secondary-mmu.md: claim, prepare,
// begin, wait, look again, commit, end.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_CHANGE_ACTOR_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_CHANGE_ACTOR_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "domain/smmu/mmu_types.h"
#include "domain/units/change_waiter.h"
#include "tests/domain/smmu/explorer/client_actor.h"
#include "tests/domain/smmu/explorer/world.h"

namespace simvisor {

class ChangeActor : public Actor {
 public:
  struct Manners {
    bool blockable = true;         // else its grace may end at any time
    bool may_cancel = false;       // its caller may give up at any time
    ChangeActor* after = nullptr;  // begins once that one has ended
  };

  ChangeActor(World& world, absl::string_view name, Manners manners)
      : world_(world), name_(name), manners_(manners) {}

  void AddOptions(std::vector<int>& options) const override;
  void Take(int option) override;
  bool ended() const override {
    return (phase_ == Phase::kDone || phase_ == Phase::kFailed) && !to_call_;
  }
  void Check() const override;
  void AppendState(std::string& text) const override;
  std::string Describe(int option) const override;

 protected:
  enum class Phase { kStart, kQueued, kWaiting, kChanged, kDone, kFailed };

  // What it claims, chosen under the domain's lock.
  virtual PfnClaims::What Plan() = 0;
  // Whether it may go on once its claim is admitted.
  virtual bool MayBegin() const { return !world_.suspended.has_value(); }
  // The extents that subscribers must hear of; nothing if the change may happen
  // without.
  virtual std::vector<PfnExtent> Prepare() = 0;
  virtual InvalidateReason reason() const { return InvalidateReason::kUnmap; }
  virtual void Commit() = 0;
  virtual void Undo() {}
  // Whether it is told in one message, as a page.
  virtual bool is_page() const { return false; }
  // Whether its range stays open when it is done.
  virtual bool keeps_range() const { return false; }
  // A last step, after the end of the range.
  virtual void Finish() {}

  World& world() const { return world_; }
  RangeId range() const { return range_; }

 private:
  enum Option { kGoOn, kGraceOver, kCancel, kCallBack };

  void Start();
  void Admitted();
  void Begin();
  void Answered();
  void Abort();
  void EndIt();
  void Leave(Phase phase);

  World& world_;
  const std::string name_;
  const Manners manners_;
  Phase phase_ = Phase::kStart;
  std::optional<PfnClaims::Queue::iterator> ticket_;
  ChangeGate admitted_, answered_;
  RangeId range_{};
  bool open_ = false;
  bool to_call_ = false;  // objects are to be called, without a lock
  absl::Time told_at_;
};

// Makes RAM pages of [first, end) missing: a balloon, or SetP2mRange.
class UnmapActor : public ChangeActor {
 public:
  UnmapActor(World& world, absl::string_view name, PfnExtent pfns,
             Manners manners)
      : ChangeActor(world, name, manners), pfns_(pfns) {}

 protected:
  PfnClaims::What Plan() override;
  std::vector<PfnExtent> Prepare() override;
  void Commit() override;
  PfnExtent pfns() const { return pfns_; }

 private:
  const PfnExtent pfns_;
};

// The same for one page, whose begin is also its end.
class PageActor : public UnmapActor {
 public:
  using UnmapActor::UnmapActor;

 protected:
  bool is_page() const override { return true; }
};

// Gives RAM pages other frames: break before make.
class ReplaceActor : public UnmapActor {
 public:
  using UnmapActor::UnmapActor;

 protected:
  InvalidateReason reason() const override {
    return InvalidateReason::kReplace;
  }
  void Commit() override;
};

// Gives missing pages frames: BalloonUp, which tells nothing.
class FillActor : public UnmapActor {
 public:
  using UnmapActor::UnmapActor;

 protected:
  std::vector<PfnExtent> Prepare() override { return {}; }
  void Commit() override;
};

class RegisterActor : public ChangeActor {
 public:
  RegisterActor(World& world, ClientActor& client, Manners manners)
      : ChangeActor(world, "register", manners), client_(client) {}

 protected:
  PfnClaims::What Plan() override;
  std::vector<PfnExtent> Prepare() override { return {}; }
  void Commit() override { client_.Register(); }

 private:
  ClientActor& client_;
};

class SuspendActor : public ChangeActor {
 public:
  using ChangeActor::ChangeActor;

 protected:
  PfnClaims::What Plan() override;
  std::vector<PfnExtent> Prepare() override { return {kEveryPfn}; }
  InvalidateReason reason() const override {
    return InvalidateReason::kSuspend;
  }
  void Commit() override { world().suspended = range(); }
  bool keeps_range() const override { return true; }
};

class StartLogActor : public ChangeActor {
 public:
  using ChangeActor::ChangeActor;

 protected:
  PfnClaims::What Plan() override;
  std::vector<PfnExtent> Prepare() override;
  InvalidateReason reason() const override {
    return InvalidateReason::kProtect;
  }
  void Commit() override { world().log.armed = true; }
  void Undo() override { world().mmus.SetLogging(false); }
};

// Takes the log, protects what is writable in it, and reads these pages.
class CleanLogActor : public ChangeActor {
 public:
  using ChangeActor::ChangeActor;

 protected:
  PfnClaims::What Plan() override;
  std::vector<PfnExtent> Prepare() override;
  InvalidateReason reason() const override {
    return InvalidateReason::kProtect;
  }
  void Commit() override { world().log.cleaning.clear(); }
  void Undo() override;
  void Finish() override;

 private:
  void TakeLog();
};

// Ends a suspension.
class ResumeActor : public Actor {
 public:
  explicit ResumeActor(World& world) : world_(world) {}

  void AddOptions(std::vector<int>& options) const override;
  void Take(int option) override;
  bool ended() const override { return true; }
  void AppendState(std::string& text) const override;
  std::string Describe(int) const override { return "resume"; }

 private:
  World& world_;
  bool done_ = false;
};

// Destroys the domain, at any time.
class DestroyActor : public Actor {
 public:
  explicit DestroyActor(World& world) : world_(world) {}

  void AddOptions(std::vector<int>& options) const override;
  void Take(int option) override;
  bool ended() const override { return phase_ != Phase::kReleasing; }
  void AppendState(std::string& text) const override;
  std::string Describe(int) const override { return "destroy"; }

 private:
  enum class Phase { kStart, kReleasing, kDone };

  World& world_;
  Phase phase_ = Phase::kStart;
  bool called_ = false;
  ChangeGate released_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_CHANGE_ACTOR_H_
