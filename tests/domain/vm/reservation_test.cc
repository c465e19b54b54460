// The ledger of a domain's pages.

#include "domain/vm/reservation.h"

#include "domain/collections/state_codec.h"
#include "domain/vm/domain_types.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

const DomainIdentity kDomain(DomainId(7), "");
const Context kSetting(kDomain, "set it");

Reservation Ledger(uint64_t current, uint64_t max_pages, uint64_t static_max,
                   uint64_t target) {
  Reservation ledger{PageCount(max_pages), PageCount(static_max),
                     PageCount(target)};
  ledger.Gained(PageCount(current));
  return ledger;
}

TEST(ReservationTest, RoomIsBelowBothLimitsAndHeldPagesCountForOne) {
  EXPECT_EQ(Ledger(100, 150, 400, 100).Room(PageCount(0)), PageCount(50));
  EXPECT_EQ(Ledger(100, 150, 400, 100).Room(PageCount(20)), PageCount(30));
  EXPECT_EQ(Ledger(100, 150, 120, 100).Room(PageCount(20)), PageCount(20));
  EXPECT_EQ(Ledger(100, 90, 400, 100).Room(PageCount(0)), PageCount(0));
  EXPECT_EQ(Ledger(500, 900, 400, 400).Room(PageCount(0)), PageCount(0));
}

TEST(ReservationTest, RoomThatIsMissingIsNamedWithItsLimit) {
  const Reservation ledger = Ledger(100, 150, 400, 100);
  EXPECT_THAT(ledger.CheckRoom(kSetting, PageCount(50), PageCount(0)), IsOk());
  const absl::Status status =
      ledger.CheckRoom(kSetting, PageCount(50), PageCount(20));
  EXPECT_EQ(ReasonOf(status), "MAX_MEM_EXCEEDED");
  EXPECT_EQ(
      status.message(),
      "domain 7: set it by 50 pages: it has 120 pages (20 of them held by "
      "other domains' mappings) and its limit is 150 pages; raise "
      "it with mem-max");
  EXPECT_EQ(FactsOf(status).at("requested"), "50");
  EXPECT_EQ(FactsOf(status).at("available"), "30");
  EXPECT_EQ(FactsOf(status).at("limit"), "150");
  EXPECT_EQ(FactsOf(status).at("unit"), "pages");
}

TEST(ReservationTest, TargetTakesTheLimitWithIt) {
  Reservation ledger = Ledger(100, 150, 400, 100);
  EXPECT_THAT(ledger.SetTarget(kSetting, PageCount(300)), IsOk());
  EXPECT_EQ(ledger.target(), PageCount(300));
  EXPECT_EQ(ledger.max_pages(), PageCount(300) + kMaxMemSlack);
  EXPECT_EQ(ledger.static_max(), PageCount(400));
  EXPECT_EQ(ReasonOf(ledger.SetTarget(kSetting, PageCount(0))),
            "MEMORY_SIZE_INVALID");
  EXPECT_EQ(ReasonOf(ledger.SetTarget(kSetting, PageCount(401))),
            "STATIC_MAX_EXCEEDED");
  EXPECT_EQ(ledger.target(), PageCount(300));
}

TEST(ReservationTest, MaximumIsNotBelowTheTarget) {
  Reservation ledger = Ledger(100, 150, 400, 100);
  EXPECT_EQ(ReasonOf(ledger.SetMaximum(kSetting, PageCount(99), kAbiX86_64)),
            "MAX_MEM_BELOW_TARGET");
  EXPECT_EQ(ledger.static_max(), PageCount(400));
  EXPECT_THAT(ledger.SetMaximum(kSetting, PageCount(200), kAbiX86_64), IsOk());
  EXPECT_EQ(ledger.static_max(), PageCount(200));
  EXPECT_EQ(ledger.max_pages(), PageCount(200) + kMaxMemSlack);
  const PageCount most = kAbiX86_32Pae.max_domain_pages();
  EXPECT_EQ(
      ReasonOf(ledger.SetMaximum(kSetting, most + PageCount(1), kAbiX86_32Pae)),
      "MEMORY_SIZE_INVALID");
}

TEST(ReservationTest, Dom0KeepsItsLeast) {
  const DomainIdentity identity(kDom0Id, "dom0");
  const Context dom0(identity, "set it");
  const uint64_t least = kMinDom0Memory.value();
  Reservation ledger = Ledger(2 * least, 4 * least, 4 * least, 2 * least);
  EXPECT_EQ(ledger.AboveLeast(kDom0Id), kMinDom0Memory);
  EXPECT_EQ(ledger.AboveLeast(DomainId(7)), PageCount(2 * least));
  EXPECT_EQ(ReasonOf(ledger.SetTarget(dom0, PageCount(least - 1))),
            "MEMORY_SIZE_INVALID");
  EXPECT_THAT(ledger.SetTarget(dom0, PageCount(least)), IsOk());
}

TEST(ReservationTest, ReleasedPagesLowerATargetThatTheyCountedTowards) {
  Reservation ledger = Ledger(100, 150, 400, 120);
  ledger.TargetDropsBy(PageCount(10), PageCount(100));
  EXPECT_EQ(ledger.target(), PageCount(110));
  ledger = Ledger(100, 150, 400, 75);
  ledger.TargetDropsBy(PageCount(10), PageCount(100));
  EXPECT_EQ(ledger.target(), PageCount(75));
  ledger.TargetDropsBy(PageCount(20), PageCount(90));
  EXPECT_EQ(ledger.target(), PageCount(70));
}

TEST(ReservationTest, TargetFollowsThePages) {
  Reservation ledger = Ledger(100, 150, 400, 120);
  ledger.Gained(PageCount(7));
  ledger.Lost(PageCount(3));
  ledger.TargetFollows();
  EXPECT_EQ(ledger.target(), PageCount(104));
}

TEST(ReservationTest, NotesBringLimitsAndNoPages) {
  const Reservation before = Ledger(100, 150, 400, 120);
  StateWriter out;
  before.Encode(out);
  StateReader in(out.bytes());
  const Reservation after = Reservation::Decode(in, kAbiX86_64);
  EXPECT_THAT(in.status(), IsOk());
  EXPECT_TRUE(in.done());
  EXPECT_EQ(after.current(), PageCount(0));
  EXPECT_EQ(after.target(), before.target());
  EXPECT_EQ(after.static_max(), before.static_max());
  EXPECT_EQ(after.max_pages(), before.max_pages());

  StateWriter wrong;
  wrong.Put(120);
  wrong.Put(400);
  wrong.Put((PageCount(400) + kMaxMemSlack).value() + 1);
  StateReader refused(wrong.bytes());
  Reservation::Decode(refused, kAbiX86_64);
  EXPECT_FALSE(refused.ok());
}

}  // namespace
}  // namespace simvisor
