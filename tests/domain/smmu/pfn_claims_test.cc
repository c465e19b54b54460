#include "domain/smmu/pfn_claims.h"

#include <string>
#include <vector>

#include "domain/smmu/mmu_types.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/extents.h"

namespace simvisor {
namespace {

PfnClaims::What On(PfnExtent pfns, bool shared = false, bool seat = false) {
  PfnClaims::What what;
  what.pfns.Add(pfns);
  what.shared = shared;
  what.seat = seat;
  return what;
}

void ExpectSound(const PfnClaims& claims) {
  std::vector<std::string> found;
  Findings findings(DomainId(3), found);
  claims.Check(findings);
  EXPECT_THAT(found, testing::IsEmpty());
}

TEST(PfnClaimsTest, DisjointClaimsRunSideBySide) {
  PfnClaims claims;
  ChangeGate gate;
  EXPECT_TRUE(claims.Add(On(Pfns(0, 4)), &gate)->admitted());
  EXPECT_TRUE(claims.Add(On(Pfns(4, 8)), &gate)->admitted());
  EXPECT_TRUE(claims.IsClaimed(Pfns(3, 4)));
  EXPECT_FALSE(claims.IsClaimed(Pfns(8, 9)));
  EXPECT_FALSE(gate.is_open());
}

TEST(PfnClaimsTest, AClaimWaitsBehindAnEarlierOneThatStillWaits) {
  PfnClaims claims;
  ChangeGate x_gate, z_gate, w_gate;
  const auto x = claims.Add(On(Pfns(0, 4)), &x_gate);
  const auto z = claims.Add(On(Pfns(2, 6)), &z_gate);
  const auto w = claims.Add(On(Pfns(5, 8)), &w_gate);
  EXPECT_EQ(claims.waiting(), 2);
  claims.Drop(x);
  EXPECT_TRUE(z->admitted());
  EXPECT_TRUE(z_gate.is_open());
  EXPECT_FALSE(w->admitted());
  claims.Drop(z);
  EXPECT_TRUE(w->admitted());
  ExpectSound(claims);
}

TEST(PfnClaimsTest, AClaimThatIsGivenUpLetsThoseBehindItIn) {
  PfnClaims claims;
  ChangeGate gate, b_gate, r_gate;
  claims.Add(On(Pfns(0, 8), true), &gate);
  const auto b = claims.Add(On(kEveryPfn), &b_gate);
  const auto r = claims.Add(On(Pfns(32, 40), true), &r_gate);
  EXPECT_FALSE(r->admitted());
  claims.Drop(b);
  EXPECT_TRUE(r->admitted());
  EXPECT_TRUE(r_gate.is_open());
  ExpectSound(claims);
}

TEST(PfnClaimsTest, SharedClaimsOverlap) {
  PfnClaims claims;
  ChangeGate gate;
  EXPECT_TRUE(claims.Add(On(kEveryPfn, true), &gate)->admitted());
  EXPECT_TRUE(claims.Add(On(Pfns(0, 8), true), &gate)->admitted());
  EXPECT_FALSE(claims.Add(On(Pfns(0, 1)), &gate)->admitted());
  EXPECT_FALSE(claims.IsClaimed(Pfns(0, 8)));
  ExpectSound(claims);
}

TEST(PfnClaimsTest, OneDriverSits) {
  PfnClaims claims;
  ChangeGate gate;
  const auto first = claims.Add({{}, false, true}, &gate);
  const auto second = claims.Add({{}, false, true}, &gate);
  const auto all = claims.Add(On(kEveryPfn), &gate);
  EXPECT_TRUE(claims.Add(On(Pfns(0, 4)), &gate)->admitted() == false);
  EXPECT_TRUE(first->admitted());
  EXPECT_FALSE(second->admitted());
  EXPECT_FALSE(all->admitted());
  ExpectSound(claims);
}

TEST(PfnClaimsTest, AReplacedClaimKeepsItsPlace) {
  PfnClaims claims;
  ChangeGate a_gate, b_gate, c_gate;
  const auto a = claims.Add(On(Pfns(0, 4)), &a_gate);
  const auto b = claims.Add(On(Pfns(8, 12)), &b_gate);
  const auto c = claims.Add(On(Pfns(2, 10)), &c_gate);
  claims.Replace(a, On(Pfns(8, 10)));
  EXPECT_FALSE(a->admitted());
  claims.Drop(b);
  EXPECT_TRUE(a->admitted());
  EXPECT_TRUE(a_gate.is_open());
  EXPECT_FALSE(c->admitted());
  ExpectSound(claims);
}

TEST(PfnClaimsTest, ADyingDomainWakesAllThatWait) {
  PfnClaims claims;
  ChangeGate first, second;
  claims.Add(On(Pfns(0, 4)), &first);
  claims.Add(On(Pfns(0, 4)), &second);
  claims.WakeAll();
  EXPECT_FALSE(first.is_open());
  EXPECT_TRUE(second.is_open());
}

}  // namespace
}  // namespace simvisor
