// A plain model of PfnClaims: a list of claims that is searched.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_CLAIMS_MODEL_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_CLAIMS_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "domain/smmu/mmu_types.h"
#include "domain/units/units.h"

namespace simvisor {

class ClaimsModel {
 public:
  struct Claim {
    int id = 0;
    std::vector<PfnExtent> pfns;
    bool shared = false;
    bool seat = false;
    bool admitted = false;
  };

  void Add(Claim claim) {
    claims_.push_back(std::move(claim));
    Admit();
  }
  void Replace(Claim claim) {
    claim.admitted = false;
    *std::find_if(claims_.begin(), claims_.end(), [&](const Claim& other) {
      return other.id == claim.id;
    }) = std::move(claim);
    Admit();
  }
  void Drop(int id) {
    std::erase_if(claims_, [&](const Claim& claim) { return claim.id == id; });
    Admit();
  }
  // In the order in which they came.
  const std::vector<Claim>& claims() const { return claims_; }

 private:
  static bool IsOfEverything(const Claim& claim) {
    return claim.pfns.size() == 1 && claim.pfns.front() == kEveryPfn;
  }
  static bool Conflict(const Claim& a, const Claim& b) {
    if (a.seat && (b.seat || IsOfEverything(b))) return true;
    if (b.seat && IsOfEverything(a)) return true;
    if (a.shared && b.shared) return false;
    for (const PfnExtent x : a.pfns) {
      for (const PfnExtent y : b.pfns) {
        if (x.first < y.end() && y.first < x.end()) return true;
      }
    }
    return false;
  }
  void Admit() {
    for (size_t at = 0; at < claims_.size(); ++at) {
      Claim& claim = claims_[at];
      if (claim.admitted) continue;
      bool free = true;
      for (size_t other = 0; other < claims_.size(); ++other) {
        if (other == at || !(other < at || claims_[other].admitted)) continue;
        if (Conflict(claim, claims_[other])) free = false;
      }
      claim.admitted = free;
    }
  }

  std::vector<Claim> claims_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_MODEL_CLAIMS_MODEL_H_
