// Leases, fences, and streams that break.

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/mmu_fixture.h"

namespace simvisor::server {
namespace {

using testing::StartsWith;

class MmuLeaseApiTest : public MmuApiTest {
 protected:
  explicit MmuLeaseApiTest(bool fault_injection = false)
      : MmuApiTest(fault_injection) {}

  std::string Resumption(const v1::SubscribeResponse::Registered& registered,
                         uint64_t last_ev) const {
    return absl::StrCat("resume { subscription: ", registered.subscription(),
                        " token: \"", absl::CHexEscape(registered.token()),
                        "\" last_ev: ", last_ev, " }");
  }
  // Waits until the daemon has noticed that the stream broke.
  void AwaitDetached() {
    while (List().mmus_size() != 1 ||
           List().mmus(0).state() != v1::SECONDARY_MMU_STATE_DETACHED) {
      std::this_thread::yield();
    }
  }
  void AwaitFences(uint64_t fences) {
    while (Get().secondary_mmus().fences() != fences) {
      std::this_thread::yield();
    }
  }
};

TEST_F(MmuLeaseApiTest, WhoDoesNotRenewIsFenced) {
  MmuStream stream(*mmus_);
  Register(stream, "lease_ms: 1000");
  clock_.AdvanceBy(std::chrono::milliseconds(999));
  stream.Send("renew { nonce: 1 }");
  EXPECT_EQ(stream.Next(), "renewed { nonce: 1 extended: true }");
  clock_.AdvanceBy(std::chrono::milliseconds(999));
  EXPECT_EQ(Get().secondary_mmus().fences(), 0u);
  EXPECT_EQ(List().mmus(0).lease_left_ms(), 1u);
  clock_.AdvanceBy(std::chrono::milliseconds(1));
  EXPECT_EQ(stream.End(), "ABORTED SECONDARY_MMU_FENCED");
  EXPECT_EQ(Get().secondary_mmus().fences(), 1u);
}

TEST_F(MmuLeaseApiTest, AChangeWaitsNoLongerThanTheLease) {
  MmuStream stream(*mmus_);
  Register(stream, "lease_ms: 1000");
  UnderWay change([&] { return BalloonDown(1); });
  stream.Begin();
  // It renews, but does not answer.
  stream.Send("renew { nonce: 1 }");
  EXPECT_EQ(stream.Next(), "renewed { nonce: 1 }");
  EXPECT_EQ(Get().secondary_mmus().waiting_changes(), 1u);
  clock_.AdvanceBy(std::chrono::milliseconds(1000));
  EXPECT_EQ(change.Outcome(), "OK");
  EXPECT_EQ(stream.End(), "ABORTED SECONDARY_MMU_FENCED");
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(MmuLeaseApiTest, AnOperatorFences) {
  MmuStream stream(*mmus_);
  const auto registered = Register(stream);
  EXPECT_EQ(Fence(registered.subscription()), "OK");
  EXPECT_EQ(stream.End(), "ABORTED SECONDARY_MMU_FENCED");
  EXPECT_EQ(Fence(registered.subscription()),
            "NOT_FOUND SECONDARY_MMU_NOT_FOUND");
  EXPECT_EQ(Fence(0), "NOT_FOUND SECONDARY_MMU_NOT_FOUND");
}

TEST_F(MmuLeaseApiTest, AStreamThatBreaksFencesAtOnce) {
  auto stream = std::make_unique<MmuStream>(*mmus_);
  Register(*stream);
  UnderWay change([&] { return BalloonDown(1); });
  stream->Begin();
  stream->Break();
  // Not by the clock, which stands still.
  EXPECT_EQ(change.Outcome(), "OK");
  AwaitFences(1);
}

TEST_F(MmuLeaseApiTest, HalfClosingWithoutLeavingBreaksTheStream) {
  MmuStream stream(*mmus_);
  Register(stream);
  stream.HalfClose();
  EXPECT_EQ(stream.End(), "ABORTED SECONDARY_MMU_FENCED");
}

TEST_F(MmuLeaseApiTest, AResumableStreamGoesOnWhereItBroke) {
  MmuStream first(*mmus_);
  const auto registered = Register(first, "resumable: true");
  first.Send("fault { req: 1 pfn: 4096 }");
  EXPECT_THAT(first.Next(), StartsWith("installed"));
  first.Break();
  AwaitDetached();
  UnderWay change([&] { return BalloonDown(1); });
  while (List().mmus(0).unanswered_events() == 0) std::this_thread::yield();

  MmuStream second(*mmus_);
  second.Send(Resumption(registered, 1));
  EXPECT_EQ(second.Next(), "resumed { }");
  // Once more, since it was not confirmed.
  EXPECT_THAT(second.Next(), StartsWith("installed { req: 1"));
  EXPECT_EQ(second.last_ev(), 2u);
  second.Begin();
  second.Ack();
  EXPECT_THAT(second.Next(), StartsWith("end"));
  EXPECT_EQ(change.Outcome(), "OK");
  second.Send("access { req: 2 pfn: 4096 length_bytes: 1 }");
  EXPECT_EQ(second.Next(), "accessed { req: 2 data: \"\\000\" }");
  second.Send("unregister {}");
  EXPECT_EQ(second.End(), "OK");
}

TEST_F(MmuLeaseApiTest, ResumingNeedsTheTokenAndADetachedSubscription) {
  MmuStream first(*mmus_);
  auto registered = Register(first, "resumable: true");
  EXPECT_EQ(Refused(Resumption(registered, 1)),
            "FAILED_PRECONDITION SECONDARY_MMU_PROTOCOL");
  first.Break();
  AwaitDetached();
  auto wrong = registered;
  wrong.set_token("0123456789abcdef");
  EXPECT_EQ(Refused(Resumption(wrong, 1)), "NOT_FOUND SECONDARY_MMU_NOT_FOUND");
  EXPECT_EQ(Refused("resume { subscription: 99 }"),
            "NOT_FOUND SECONDARY_MMU_NOT_FOUND");
  EXPECT_EQ(Refused(Resumption(registered, 9)),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  MmuStream second(*mmus_);
  second.Send(Resumption(registered, 1));
  EXPECT_EQ(second.Next(), "resumed { }");
}

TEST_F(MmuLeaseApiTest, ADetachedSubscriptionIsFencedWhenItsLeaseEnds) {
  MmuStream first(*mmus_);
  const auto registered = Register(first, "resumable: true lease_ms: 1000");
  first.Break();
  AwaitDetached();
  clock_.AdvanceBy(std::chrono::milliseconds(1000));
  EXPECT_EQ(Get().secondary_mmus().fences(), 1u);
  EXPECT_EQ(Refused(Resumption(registered, 1)), "ABORTED SECONDARY_MMU_FENCED");
}

TEST_F(MmuLeaseApiTest, ADrainReleasesSubscriptions) {
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay drain([&]() -> std::string {
    daemon_->Drain(absl::Seconds(30));
    return "OK";
  });
  EXPECT_EQ(stream.Next(), "release { reason: RELEASE_REASON_SHUTDOWN }");
  stream.Ack();
  EXPECT_EQ(stream.End(), "OK");
  EXPECT_EQ(drain.Outcome(), "OK");
}

TEST_F(MmuLeaseApiTest, ADrainDoesNotWaitForTheDeaf) {
  MmuStream stream(*mmus_);
  Register(stream, "resumable: true");
  daemon_->Drain(absl::Milliseconds(50));
  EXPECT_THAT(stream.End(), StartsWith("ABORTED SECONDARY_MMU_FENCED"));
}

class MmuFaultApiTest : public MmuLeaseApiTest {
 protected:
  MmuFaultApiTest() : MmuLeaseApiTest(/*fault_injection=*/true) {}

  void FailAt(FaultPoint point, const std::string& domain = "web") {
    EXPECT_TRUE(faults_
                    .Add({.point = point,
                          .domain = domain,
                          .code = absl::StatusCode::kUnavailable,
                          .count = 1})
                    .ok());
  }
};

TEST_F(MmuFaultApiTest, ARegistrationThatFailsLeavesNothing) {
  FailAt(FaultPoint::kMmuRegistering);
  EXPECT_EQ(Refused(Registration()), "UNAVAILABLE FAULT_INJECTED");
  EXPECT_EQ(List().mmus_size(), 0);
  EXPECT_EQ(BalloonDown(1), "OK");
}

TEST_F(MmuFaultApiTest, ErrorsBeforeAChangeAbortIt) {
  MmuStream stream(*mmus_);
  Register(stream);
  const uint64_t pages = Get().memory().current_pages();
  for (const FaultPoint point :
       {FaultPoint::kMmuBegin, FaultPoint::kMmuAnswered}) {
    FailAt(point);
    UnderWay change([&] { return BalloonDown(1); });
    stream.Begin();
    stream.Ack();
    EXPECT_THAT(stream.Next(), StartsWith("abort { range_id: "));
    EXPECT_EQ(change.Outcome(), "UNAVAILABLE FAULT_INJECTED");
    EXPECT_EQ(Get().memory().current_pages(), pages);
  }
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(MmuFaultApiTest, ErrorsAfterAChangeAreIgnored) {
  MmuStream stream(*mmus_);
  Register(stream);
  FailAt(FaultPoint::kMmuChanged);
  UnderWay change([&] { return BalloonDown(1); });
  stream.Begin();
  stream.Ack();
  EXPECT_THAT(stream.Next(), StartsWith("end { range_id: "));
  EXPECT_EQ(change.Outcome(), "OK");
}

TEST_F(MmuFaultApiTest, NothingStopsAFence) {
  MmuStream stream(*mmus_);
  const auto registered = Register(stream);
  FailAt(FaultPoint::kMmuFence);
  EXPECT_EQ(Fence(registered.subscription()), "OK");
  EXPECT_EQ(stream.End(), "ABORTED SECONDARY_MMU_FENCED");
  FailAt(FaultPoint::kMmuFence);
  MmuStream other(*mmus_);
  Register(other, "lease_ms: 1000");
  clock_.AdvanceBy(std::chrono::milliseconds(1000));
  EXPECT_EQ(other.End(), "ABORTED SECONDARY_MMU_FENCED");
}

TEST_F(MmuFaultApiTest, AResumptionThatFailsMayBeTriedAgain) {
  MmuStream first(*mmus_);
  const auto registered = Register(first, "resumable: true");
  first.Break();
  AwaitDetached();
  FailAt(FaultPoint::kMmuResume);
  EXPECT_EQ(Refused(Resumption(registered, 1)), "UNAVAILABLE FAULT_INJECTED");
  MmuStream second(*mmus_);
  second.Send(Resumption(registered, 1));
  EXPECT_EQ(second.Next(), "resumed { }");
}

TEST_F(MmuFaultApiTest, ErrorsAtReleaseAreIgnored) {
  MmuStream stream(*mmus_);
  Register(stream);
  FailAt(FaultPoint::kMmuRelease, /*domain=*/"");
  UnderWay destroy([&] {
    return Call(*domains_, &v1::DomainService::Stub::DestroyDomain,
                For<v1::DestroyDomainRequest>(domid_));
  });
  EXPECT_EQ(stream.Next(), "release { reason: RELEASE_REASON_DESTROYED }");
  stream.Ack();
  EXPECT_EQ(stream.End(), "OK");
  EXPECT_EQ(destroy.Outcome(), "OK");
  EXPECT_EQ(faults_.List()[0].acted, 1u);
}

}  // namespace
}  // namespace simvisor::server
