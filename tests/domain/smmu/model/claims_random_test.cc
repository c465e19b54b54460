// PfnClaims against a plain model of it: claims that come, are planned again
// and go, in random order.
//
// SIMVISOR_SEED=n repeats one sequence.

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "domain/smmu/pfn_claims.h"
#include "domain/units/findings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/smmu/model/claims_model.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

constexpr uint64_t kClaimPfns = 24;

class ClaimsSequence {
 public:
  explicit ClaimsSequence(uint64_t seed) : random_(seed) {}

  void Run() {
    for (int step = 0; step < 200 && !testing::Test::HasFailure(); ++step) {
      Step();
      Compare();
    }
  }

 private:
  struct Entry {
    PfnClaims::Queue::iterator ticket;
    std::unique_ptr<ChangeGate> gate = std::make_unique<ChangeGate>();
    bool waited = false;
  };

  uint64_t Pick(uint64_t end) { return random_() % end; }

  ClaimsModel::Claim AClaim(int id) {
    ClaimsModel::Claim claim = {.id = id, .pfns = {}};
    claim.shared = Pick(3) == 0;
    claim.seat = Pick(6) == 0;
    if (Pick(8) == 0) {
      claim.pfns = {kEveryPfn};
      return claim;
    }
    uint64_t at = Pick(6);
    // A claim that takes only the seat need not name pfns.
    for (uint64_t count = Pick(3) + (claim.seat ? 0 : 1); count > 0; --count) {
      const uint64_t pages = 1 + Pick(4);
      claim.pfns.push_back({Pfn(at), PageCount(pages)});
      at += pages + 1 + Pick(kClaimPfns / 2);
    }
    return claim;
  }

  static PfnClaims::What WhatOf(const ClaimsModel::Claim& claim) {
    PfnClaims::What what = {
        .pfns = {}, .shared = claim.shared, .seat = claim.seat};
    for (const PfnExtent pfns : claim.pfns) what.pfns.Add(pfns);
    return what;
  }

  int AnEntry() {
    return std::next(entries_.begin(), Pick(entries_.size()))->first;
  }

  void Step() {
    const uint64_t kind = Pick(10);
    if (entries_.empty() || (kind < 4 && entries_.size() < 8)) {
      const ClaimsModel::Claim claim = AClaim(++last_id_);
      Entry& entry = entries_[claim.id];
      entry.ticket = claims_.Add(WhatOf(claim), entry.gate.get());
      model_.Add(claim);
    } else if (kind < 6) {
      const ClaimsModel::Claim claim = AClaim(AnEntry());
      Entry& entry = entries_[claim.id];
      entry.gate->Close();
      entry.waited = false;
      claims_.Replace(entry.ticket, WhatOf(claim));
      model_.Replace(claim);
    } else {
      const int id = AnEntry();
      claims_.Drop(entries_[id].ticket);
      model_.Drop(id);
      entries_.erase(id);
    }
  }

  void Compare() {
    size_t waiting = 0;
    for (const ClaimsModel::Claim& claim : model_.claims()) {
      Entry& entry = entries_[claim.id];
      EXPECT_EQ(entry.ticket->admitted(), claim.admitted) << claim.id;
      if (!claim.admitted) {
        ++waiting;
        entry.waited = true;
      }
      EXPECT_EQ(entry.gate->is_open(), claim.admitted && entry.waited)
          << claim.id;
    }
    EXPECT_EQ(claims_.waiting(), waiting);
    EXPECT_EQ(claims_.empty(), model_.claims().empty());
    for (uint64_t pfn = 0; pfn < kClaimPfns; ++pfn) {
      const PfnExtent page = {Pfn(pfn), PageCount(1)};
      EXPECT_EQ(claims_.IsClaimed(page), IsClaimed(pfn)) << pfn;
    }
    std::vector<std::string> found;
    Findings findings(DomainId(1), found);
    claims_.Check(findings);
    EXPECT_THAT(found, testing::IsEmpty());
  }

  bool IsClaimed(uint64_t pfn) const {
    for (const ClaimsModel::Claim& claim : model_.claims()) {
      if (!claim.admitted || claim.shared) continue;
      for (const PfnExtent pfns : claim.pfns) {
        if (pfns.Contains(Pfn(pfn))) return true;
      }
    }
    return false;
  }

  std::mt19937_64 random_;
  PfnClaims claims_;
  ClaimsModel model_;
  std::map<int, Entry> entries_;
  int last_id_ = 0;
};

TEST(ClaimsRandomTest, ClaimsAreAdmittedInTheirOrder) {
  for (const uint64_t seed : TestSeeds(300)) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    ClaimsSequence(seed).Run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace simvisor
