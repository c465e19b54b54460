// Changes of a domain that has secondary MMUs, and what is shown of these.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "tests/server/services/mmu_fixture.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class MmuChangeApiTest : public MmuApiTest {
 protected:
  // Maps a page for writing, and returns its frame.
  static uint64_t Map(MmuStream& stream, uint64_t pfn) {
    stream.Send(absl::StrCat("fault { req: 1 write: true pfn: ", pfn, " }"));
    const v1::SubscribeResponse response = stream.Read();
    EXPECT_TRUE(response.has_installed()) << response.ShortDebugString();
    return response.installed().mfn();
  }
  void AwaitWaiting(uint32_t changes) {
    while (Get().secondary_mmus().waiting_changes() != changes) {
      std::this_thread::yield();
    }
  }
};

TEST_F(MmuChangeApiTest, ABalloonWaitsUntilItsPagesAreLetGo) {
  MmuStream stream(*mmus_);
  Register(stream);
  const uint64_t pages = Get().memory().current_pages();
  UnderWay change([&] { return BalloonDown(3); });
  const v1::SubscribeResponse::RangeBegin begin = stream.Begin();
  EXPECT_EQ(begin.reason(), v1::INVALIDATE_REASON_UNMAP);
  EXPECT_TRUE(begin.blockable());
  ASSERT_EQ(begin.pfns_size(), 1);
  EXPECT_EQ(begin.pfns(0).count(), 3u);
  // Nothing has moved, and the client can look and fault meanwhile.
  AwaitWaiting(1);
  EXPECT_EQ(Get().memory().current_pages(), pages);
  stream.Send(
      absl::StrCat("fault { req: 1 pfn: ", begin.pfns(0).first_pfn(), " }"));
  EXPECT_EQ(stream.Next(), "retry { req: 1 cause: RETRY_CAUSE_INVALIDATING }");
  stream.Send(absl::StrCat("ack { ev: ", stream.last_ev() - 1, " }"));
  EXPECT_EQ(stream.Next(),
            absl::StrCat("end { range_id: ", begin.range_id(), " seq: 1 }"));
  EXPECT_EQ(change.Outcome(), "OK");
  EXPECT_EQ(Get().memory().current_pages(), pages - 3);
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(MmuChangeApiTest, AParkedFaultIsAnsweredWhenTheRangeEnds) {
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay change([&] { return BalloonDown(1); });
  stream.Begin();
  const uint64_t begin = stream.last_ev();
  stream.Send("fault { req: 1 pfn: 4096 wait: true }");
  stream.Send(absl::StrCat("ack { ev: ", begin, " }"));
  EXPECT_THAT(stream.Next(), StartsWith("end"));
  EXPECT_THAT(stream.Next(), StartsWith("installed { req: 1 pfn: 4096"));
  EXPECT_EQ(change.Outcome(), "OK");
}

TEST_F(MmuChangeApiTest, OnlyThoseThatMapItAreToldIfTheyAskForThat) {
  MmuStream stream(*mmus_);
  Register(stream, "events: EVENT_FILTER_MAPPED");
  Map(stream, 4096);
  EXPECT_EQ(BalloonDown(1), "OK");
  auto set = For<v1::SetP2mRangeRequest>(domid_);
  set.set_first_pfn(4096);
  set.set_count(1);
  set.set_p2m_class(v1::P2M_CLASS_MISSING);
  set.set_ram_policy(v1::RAM_POLICY_RELEASE);
  UnderWay change([&] {
    return Call(*memory_, &v1::MemoryService::Stub::SetP2mRange, set);
  });
  EXPECT_EQ(stream.Begin().pfns(0).first_pfn(), 4096u);
  stream.Ack();
  EXPECT_THAT(stream.Next(), StartsWith("end"));
  EXPECT_EQ(change.Outcome(), "OK");
  stream.Send("access { req: 2 pfn: 4096 length_bytes: 1 }");
  EXPECT_EQ(stream.Next(), "accessed { req: 2 reason: \"MAPPING_STALE\" }");
}

TEST_F(MmuChangeApiTest, ANackAbortsAChangeThatDoesNotWait) {
  MmuStream stream(*mmus_);
  Register(stream);
  const uint64_t pages = Get().memory().current_pages();
  UnderWay change([&] { return BalloonDown(1, v1::SECONDARY_MMU_WAIT_NEVER); });
  EXPECT_FALSE(stream.Begin().blockable());
  stream.Send(absl::StrCat("nack { ev: ", stream.last_ev(), " }"));
  EXPECT_THAT(stream.Next(), StartsWith("abort { range_id: "));
  EXPECT_EQ(change.Outcome(), "ABORTED SECONDARY_MMU_BUSY");
  EXPECT_EQ(Get().memory().current_pages(), pages);
}

TEST_F(MmuChangeApiTest, AChangeThatDoesNotWaitGivesUpAfterTheGrace) {
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay change([&] { return BalloonDown(1, v1::SECONDARY_MMU_WAIT_NEVER); });
  stream.Begin();
  AwaitWaiting(1);
  clock_.AdvanceBy(std::chrono::milliseconds(5));
  EXPECT_EQ(change.Outcome(), "ABORTED SECONDARY_MMU_BUSY");
  EXPECT_THAT(stream.Next(), StartsWith("abort { range_id: "));
}

TEST_F(MmuChangeApiTest, ANackOfAChangeThatWaitsFences) {
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay change([&] { return BalloonDown(1); });
  stream.Begin();
  stream.Send(absl::StrCat("nack { ev: ", stream.last_ev(), " }"));
  EXPECT_EQ(stream.End(), "ABORTED SECONDARY_MMU_FENCED");
  EXPECT_EQ(change.Outcome(), "OK");
}

TEST_F(MmuChangeApiTest, AnUnknownWayToWaitIsRefused) {
  EXPECT_EQ(BalloonDown(1, static_cast<v1::SecondaryMmuWait>(9)),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
}

TEST_F(MmuChangeApiTest, ACallThatIsCancelledAbortsItsChange) {
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay change([&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::milliseconds(100));
    auto request = For<v1::BalloonDownRequest>(domid_);
    request.set_pages(1);
    v1::BalloonDownResponse response;
    const grpc::Status status =
        memory_->BalloonDown(&context, request, &response);
    return absl::StrCat(status.error_code());
  });
  stream.Begin();
  EXPECT_THAT(stream.Next(), StartsWith("abort { range_id: "));
  EXPECT_EQ(change.Outcome(), absl::StrCat(grpc::DEADLINE_EXCEEDED));
}

TEST_F(MmuChangeApiTest, ARegistrationWaitsForChangesAndCanBeGivenUp) {
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay change([&] { return BalloonDown(1); });
  stream.Begin();
  auto given_up = std::make_unique<MmuStream>(*mmus_);
  given_up->Send(Registration());
  MmuStream second(*mmus_);
  second.Send(Registration());
  AwaitWaiting(3);
  given_up->Break();
  AwaitWaiting(2);
  stream.Ack();
  const v1::SubscribeResponse response = second.Read();
  EXPECT_EQ(response.registered().seq(), 1u);
  EXPECT_EQ(change.Outcome(), "OK");
  EXPECT_EQ(Get().secondary_mmus().subscriptions(), 2u);
}

TEST_F(MmuChangeApiTest, WaitingChangesHoldUpNoOtherCall) {
  MmuStream stream(*mmus_);
  Register(stream);
  v1::Domain other;
  ASSERT_EQ(Create(Wanted("other", kPages), &other), "OK");
  // More than there are threads for short calls.
  constexpr int kChanges = 40;
  std::vector<std::unique_ptr<UnderWay>> changes;
  for (int i = 0; i < kChanges; ++i) {
    changes.push_back(
        std::make_unique<UnderWay>([&] { return BalloonDown(1); }));
  }
  AwaitWaiting(kChanges);
  auto request = For<v1::BalloonDownRequest>(other.domid());
  request.set_pages(1);
  EXPECT_EQ(Call(*memory_, &v1::MemoryService::Stub::BalloonDown, request),
            "OK");
  auto translate = For<v1::TranslatePfnsRequest>(domid_);
  translate.add_pfns(1);
  EXPECT_EQ(Call(*memory_, &v1::MemoryService::Stub::TranslatePfns, translate),
            "OK");
  EXPECT_EQ(Call(*memory_, &v1::MemoryService::Stub::GetP2mSummary,
                 For<v1::GetP2mSummaryRequest>(domid_)),
            "OK");
  EXPECT_EQ(Call(*hosts_, &v1::HostService::Stub::AuditHost, {}), "OK");
  stream.Send("unregister {}");
  EXPECT_EQ(stream.End(), "OK");
  for (const auto& change : changes) EXPECT_EQ(change->Outcome(), "OK");
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(MmuChangeApiTest, StreamedOperationsThatWaitHoldUpNoOtherDomain) {
  MmuStream stream(*mmus_);
  Register(stream);
  v1::Domain other;
  ASSERT_EQ(Create(Wanted("other", kPages), &other), "OK");
  grpc::ClientContext context;
  const auto ops = memory_->StreamMemoryOps(&context);
  v1::StreamMemoryOpsRequest request;
  const auto add = [&request](uint64_t id, uint32_t domid) {
    v1::MemoryOp* const op = request.add_ops();
    op->set_id(id);
    op->mutable_domain()->set_domid(domid);
    return op;
  };
  add(1, domid_)->mutable_translate()->add_pfns(1);
  add(2, domid_)->mutable_balloon_down()->set_pages(1);
  add(3, domid_)->mutable_translate()->add_pfns(1);
  add(4, other.domid())->mutable_balloon_down()->set_pages(1);
  ASSERT_TRUE(ops->Write(request));
  std::vector<uint64_t> done;
  const auto read = [&] {
    v1::StreamMemoryOpsResponse response;
    ASSERT_TRUE(ops->Read(&response));
    for (const v1::MemoryOpResult& result : response.results()) {
      EXPECT_FALSE(result.has_error()) << result.ShortDebugString();
      done.push_back(result.id());
    }
  };
  while (done.size() < 2) read();
  EXPECT_THAT(done, testing::UnorderedElementsAre(1, 4));
  stream.Begin();
  stream.Ack();
  while (done.size() < 4) read();
  EXPECT_EQ(done[2], 2u);
  EXPECT_EQ(done[3], 3u);
  ops->WritesDone();
  EXPECT_EQ(Outcome(ops->Finish()), "OK");
}

TEST_F(MmuChangeApiTest, StreamedOperationsNeedNotWait) {
  MmuStream stream(*mmus_);
  Register(stream);
  grpc::ClientContext context;
  const auto ops = memory_->StreamMemoryOps(&context);
  v1::StreamMemoryOpsRequest request;
  v1::MemoryOp* const op = request.add_ops();
  op->mutable_domain()->set_domid(domid_);
  op->mutable_balloon_down()->set_pages(1);
  op->mutable_balloon_down()->set_secondary_mmus(v1::SECONDARY_MMU_WAIT_NEVER);
  ASSERT_TRUE(ops->Write(request));
  stream.Begin();
  stream.Send(absl::StrCat("nack { ev: ", stream.last_ev(), " }"));
  v1::StreamMemoryOpsResponse response;
  ASSERT_TRUE(ops->Read(&response));
  EXPECT_EQ(response.results(0).error().reason(), "SECONDARY_MMU_BUSY");
  ops->WritesDone();
  EXPECT_EQ(Outcome(ops->Finish()), "OK");
}

TEST_F(MmuChangeApiTest, ASaveTellsBeforeTheGuestIsSuspended) {
  MmuStream stream(*mmus_);
  Register(stream);
  Map(stream, 4096);
  const auto migrations = v1::MigrationService::NewStub(channel_);
  grpc::ClientContext context;
  const auto save = migrations->SaveDomain(&context);
  v1::SaveDomainRequest start;
  start.mutable_start()->mutable_domain()->set_domid(domid_);
  start.mutable_start()->set_after(v1::AFTER_SAVE_CONTINUE);
  ASSERT_TRUE(save->Write(start));
  EXPECT_EQ(stream.Begin().reason(), v1::INVALIDATE_REASON_SUSPEND);
  EXPECT_FALSE(Get().suspended());
  stream.Ack();
  v1::SaveDomainResponse chunk;
  while (save->Read(&chunk) && !chunk.last()) {
  }
  EXPECT_TRUE(Get().suspended());
  v1::SaveDomainRequest stored;
  stored.mutable_stored();
  ASSERT_TRUE(save->Write(stored));
  EXPECT_THAT(stream.Next(), StartsWith("end"));
  EXPECT_EQ(Outcome(save->Finish()), "OK");
}

TEST_F(MmuChangeApiTest, AGuestThatBootsTellsThoseWhoCameBefore) {
  v1::Domain built;
  auto wanted = Wanted("built", kPages);
  wanted.set_start_paused(true);
  ASSERT_EQ(Create(wanted, &built), "OK");
  MmuStream stream(*mmus_);
  stream.Send(absl::StrCat("register { domain { domid: ", built.domid(),
                           " } name: \"tlb\" }"));
  EXPECT_TRUE(stream.Read().has_registered());
  stream.Send("fault { req: 1 pfn: 4096 }");
  EXPECT_EQ(stream.Next(),
            "not_mapped { req: 1 p2m_class: P2M_CLASS_MISSING }");
  UnderWay unpause([&] {
    return Call(*domains_, &v1::DomainService::Stub::UnpauseDomain,
                For<v1::UnpauseDomainRequest>(built.domid()));
  });
  EXPECT_EQ(stream.Begin().reason(), v1::INVALIDATE_REASON_BOOT);
  stream.Ack();
  EXPECT_THAT(stream.Next(), StartsWith("end"));
  EXPECT_EQ(unpause.Outcome(), "OK");
  stream.Send("fault { req: 2 pfn: 4096 }");
  EXPECT_THAT(stream.Next(), StartsWith("installed { req: 2"));
}

TEST_F(MmuChangeApiTest, DestroyingReleasesAndWaits) {
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay destroy([&] {
    return Call(*domains_, &v1::DomainService::Stub::DestroyDomain,
                For<v1::DestroyDomainRequest>(domid_));
  });
  EXPECT_EQ(stream.Next(), "release { reason: RELEASE_REASON_DESTROYED }");
  const uint64_t release = stream.last_ev();
  stream.Send("fault { req: 1 pfn: 4096 }");
  EXPECT_THAT(stream.Next(), HasSubstr("reason: \"DOMAIN_DYING\""));
  stream.Send(absl::StrCat("ack { ev: ", release, " }"));
  EXPECT_EQ(stream.End(), "OK");
  EXPECT_EQ(destroy.Outcome(), "OK");
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(MmuChangeApiTest, AccessedPagesAreSampled) {
  MmuStream stream(*mmus_);
  Register(stream);
  Map(stream, 4096);
  v1::SampleAccessedResponse answer;
  auto request = For<v1::SampleAccessedRequest>(domid_);
  request.mutable_pfns()->set_first_pfn(4090);
  request.mutable_pfns()->set_count(10);
  request.set_clear(true);
  UnderWay sample([&] {
    return Call(*mmus_, &v1::SecondaryMmuService::Stub::SampleAccessed, request,
                &answer);
  });
  EXPECT_EQ(stream.Next(),
            "young { pfns { first_pfn: 4090 count: 10 } clear: true }");
  stream.Send(absl::StrCat("young { ev: ", stream.last_ev(),
                           " young { first_pfn: 4096 count: 1 } }"));
  EXPECT_EQ(sample.Outcome(), "OK");
  EXPECT_EQ(answer.ShortDebugString(),
            "young { first_pfn: 4096 count: 1 } asked: 1");
}

TEST_F(MmuChangeApiTest, BadSamplesAreRefused) {
  const auto sample = [this](const v1::SampleAccessedRequest& request) {
    return Call(*mmus_, &v1::SecondaryMmuService::Stub::SampleAccessed,
                request);
  };
  auto request = For<v1::SampleAccessedRequest>(domid_);
  EXPECT_EQ(sample(request), "INVALID_ARGUMENT RANGE_INVALID");
  request.mutable_pfns()->set_count(1);
  EXPECT_EQ(sample(request), "OK");
  request.set_wait_ms(10001);
  EXPECT_EQ(sample(request), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
}

TEST_F(MmuChangeApiTest, SubscriptionsAndMappingsAreListed) {
  EXPECT_FALSE(Get().has_secondary_mmus());
  MmuStream first(*mmus_);
  const auto registered =
      Register(first, "intervals { first_pfn: 8 count: 9 }");
  MmuStream second(*mmus_);
  Register(second, "events: EVENT_FILTER_MAPPED");
  const uint64_t mfn = Map(second, 4096);
  v1::ListSecondaryMmusRequest request;
  request.set_page_size(1);
  v1::ListSecondaryMmusResponse page = List(request);
  ASSERT_EQ(page.mmus_size(), 1);
  EXPECT_EQ(page.mmus(0).subscription(), registered.subscription());
  EXPECT_EQ(page.mmus(0).domid(), domid_);
  EXPECT_EQ(page.mmus(0).name(), "tlb");
  EXPECT_EQ(page.mmus(0).intervals(0).count(), 9u);
  EXPECT_EQ(page.mmus(0).lease_left_ms(), 5000u);
  request.set_page_token(page.next_page_token());
  page = List(request);
  ASSERT_EQ(page.mmus_size(), 1);
  EXPECT_EQ(page.next_page_token(), "");
  EXPECT_EQ(page.mmus(0).mapped_pages(), 1u);
  EXPECT_EQ(page.mmus(0).writable_pages(), 1u);

  v1::ListSecondaryMappingsRequest mappings;
  mappings.set_subscription(page.mmus(0).subscription());
  std::vector<v1::ListSecondaryMappingsResponse> responses;
  EXPECT_EQ(
      CallStream(*mmus_, &v1::SecondaryMmuService::Stub::ListSecondaryMappings,
                 mappings, &responses),
      "OK");
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_EQ(responses[0].ShortDebugString(),
            absl::StrCat("runs { first_pfn: 4096 first_mfn: ", mfn,
                         " count: 1 writable: true }"));

  const v1::SecondaryMmuTotals totals = Get().secondary_mmus();
  EXPECT_EQ(totals.subscriptions(), 2u);
  EXPECT_EQ(totals.mapped_pages(), 1u);
}

TEST_F(MmuChangeApiTest, BadListsAreRefused) {
  const auto list = [this](const v1::ListSecondaryMmusRequest& request) {
    return Call(*mmus_, &v1::SecondaryMmuService::Stub::ListSecondaryMmus,
                request);
  };
  v1::ListSecondaryMmusRequest request;
  request.set_page_size(1001);
  EXPECT_EQ(list(request), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  request.set_page_size(0);
  request.set_page_token("x");
  EXPECT_EQ(list(request), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  request.clear_page_token();
  request.mutable_domain()->set_domid(99);
  EXPECT_EQ(list(request), "NOT_FOUND DOMAIN_NOT_FOUND");
  v1::ListSecondaryMappingsRequest mappings;
  mappings.set_subscription(99);
  EXPECT_EQ(
      CallStream(*mmus_, &v1::SecondaryMmuService::Stub::ListSecondaryMappings,
                 mappings),
      "NOT_FOUND SECONDARY_MMU_NOT_FOUND");
}

}  // namespace
}  // namespace simvisor::server
