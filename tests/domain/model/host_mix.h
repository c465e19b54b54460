// What the threads of a mixed load on two hosts share: the hosts, the reasons
// for which calls may be refused, and a count of calls that succeeded.
//
// Thread safety: Mix is thread-safe; Actor belongs to one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MIX_H_
#define SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MIX_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/host_testing.h"

namespace simvisor {

// Reasons for which a call may be refused because of other threads, or because
// the machine is full.  Excludes reasons that only a wrong call or a wrong
// machine causes.
inline constexpr Reason kMixRefusals[] = {
    Reason::kAddressSpaceNotFound, Reason::kArchNotPae,
    Reason::kDomainDying,          Reason::kDomainMigrating,
    Reason::kDomainNotBooted,      Reason::kDomainNotFound,
    Reason::kDomainNotMigratable,  Reason::kDomainNotRunning,
    Reason::kDomainSuspended,      Reason::kFrameInUse,
    Reason::kFrameNotForeign,      Reason::kFrameNotReadable,
    Reason::kGuestLoadNotFound,    Reason::kGuestLoadRunning,
    Reason::kGuestMemoryExhausted, Reason::kHostMemoryExhausted,
    Reason::kMaxMemExceeded,       Reason::kP2mChanged,
    Reason::kP2mTreeStale,         Reason::kPageInUseByKernel,
    Reason::kPfnHoldsForeign,      Reason::kPfnHoldsRam,
    Reason::kPfnNotBalloonable,    Reason::kPfnNotForeign,
    Reason::kPfnNotMissing,        Reason::kPfnNotRam,
    Reason::kPfnOutOfRange,
};

class Mix {
 public:
  static constexpr uint64_t kMachine = 20000;

  Mix() : hosts_{MakeHost(kMachine), MakeHost(kMachine, Placement::kScatter)} {}

  Host& host(int number) const { return *hosts_[number]; }
  bool ended() const { return ended_.load(); }
  void End() { ended_ = true; }

  void Add(const std::map<std::string, uint64_t>& done)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    for (const auto& [what, times] : done) done_[what] += times;
  }
  // Successful calls of actors that have ended, by kind.
  std::map<std::string, uint64_t> done() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return done_;
  }

 private:
  const std::array<std::unique_ptr<Host>, 2> hosts_;
  std::atomic<bool> ended_ = false;

  mutable absl::Mutex mu_;
  std::map<std::string, uint64_t> done_ ABSL_GUARDED_BY(mu_);
};

// One thread's choices.
class Actor {
 public:
  Actor(Mix& mix, uint64_t seed) : mix_(mix), random_(seed) {}
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  ~Actor() { mix_.Add(done_); }

 protected:
  uint64_t Pick(uint64_t below) { return random_() % below; }
  bool Chance(uint64_t percent) { return Pick(100) < percent; }
  Mix& mix() { return mix_; }
  // Any domain except dom0; it may have died meanwhile.  Null if there is none.
  std::shared_ptr<Domain> AnyDomain(int host) {
    const auto all = mix_.host(host).List(DomainId(1), 1000);
    return all.empty() ? nullptr : all[Pick(all.size())];
  }
  // The frame of some RAM page of the domain, or a free one.
  Mfn AnyFrame(Domain& domain) {
    std::vector<P2mWord> words;
    if (!domain.p2m().Translate({Pick(2600)}, words).ok() ||
        !words[0].is_ram()) {
      return Mfn(Pick(Mix::kMachine));
    }
    return Mfn(words[0].Number());
  }
  // Whether a call succeeded; a refusal must be an expected one.  Takes no
  // lock: a lock would order the calls of different threads, and so hide races
  // from ThreadSanitizer.
  bool Note(absl::string_view what, const absl::Status& status) {
    if (status.ok()) {
      ++done_[std::string(what)];
      return true;
    }
    const auto reason = ReasonOf(status);
    EXPECT_TRUE(std::any_of(
        std::begin(kMixRefusals), std::end(kMixRefusals),
        [&](Reason one) { return reason == std::string(ReasonName(one)); }))
        << what << ": " << status;
    return false;
  }
  template <typename T>
  bool Note(absl::string_view what, const absl::StatusOr<T>& result) {
    return Note(what, result.status());
  }

 private:
  Mix& mix_;
  std::mt19937_64 random_;
  std::map<std::string, uint64_t> done_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MIX_H_
