// Live migration through real channels: two daemons, and a source that the test
// plays itself.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "tests/server_fixture.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;
using Migrations = v1::MigrationService::Stub;
using Domains = v1::DomainService::Stub;
using Memory = v1::MemoryService::Stub;

constexpr uint64_t kPages = 4096;
constexpr uint64_t kFrames = 8 * kPagesPerGiB;

class MigrationTest : public ServerTest {
 protected:
  MigrationTest() : migration_(v1::MigrationService::NewStub(channel_)) {
    auto other = Daemon::Start(MakeHost(8, Placement::kScatter),
                               {*ListenAddress::Parse(other_address_)});
    EXPECT_TRUE(other.ok()) << other.status();
    if (other.ok()) other_ = *std::move(other);
    const auto channel =
        grpc::CreateChannel(other_address_, grpc::InsecureChannelCredentials());
    other_domains_ = v1::DomainService::NewStub(channel);
    other_memory_ = v1::MemoryService::NewStub(channel);
    other_migration_ = v1::MigrationService::NewStub(channel);
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }

  v1::MigrateDomainRequest Wish(const std::string& name) const {
    v1::MigrateDomainRequest request;
    request.mutable_domain()->set_name(name);
    request.set_target(other_address_);
    request.set_migration_id("the-one");
    return request;
  }
  std::string Migrate(const v1::MigrateDomainRequest& request,
                      std::vector<v1::MigrateDomainResponse>* all = nullptr) {
    return CallStream(*migration_, &Migrations::MigrateDomain, request, all);
  }

  static std::string Write(Memory& stub, const std::string& name, uint64_t pfn,
                           const std::string& data) {
    v1::WriteGuestMemoryRequest request;
    request.mutable_domain()->set_name(name);
    request.set_pfn(pfn);
    request.set_data(data);
    return Call(stub, &Memory::WriteGuestMemory, request);
  }
  static std::string Read(Memory& stub, const std::string& name, uint64_t pfn,
                          uint32_t length) {
    v1::ReadGuestMemoryRequest request;
    request.mutable_domain()->set_name(name);
    request.set_pfn(pfn);
    request.set_length_bytes(length);
    v1::ReadGuestMemoryResponse response;
    const std::string outcome =
        Call(stub, &Memory::ReadGuestMemory, request, &response);
    return outcome == "OK" ? response.data() : outcome;
  }
  static v1::Domain Get(Domains& stub, const std::string& name) {
    v1::GetDomainRequest request;
    request.mutable_domain()->set_name(name);
    v1::GetDomainResponse response;
    const std::string outcome =
        Call(stub, &Domains::GetDomain, request, &response);
    EXPECT_EQ(outcome, "OK");
    return response.domain();
  }
  static std::string Find(Domains& stub, const std::string& name) {
    v1::GetDomainRequest request;
    request.mutable_domain()->set_name(name);
    return Call(stub, &Domains::GetDomain, request);
  }
  static std::string StateOf(Migrations& stub, const std::string& id) {
    v1::ListMigrationsResponse response;
    EXPECT_EQ(Call(stub, &Migrations::ListMigrations, {}, &response), "OK");
    for (const v1::Migration& migration : response.migrations()) {
      if (migration.migration_id() == id) {
        return v1::MigrationState_Name(migration.state());
      }
    }
    return "none";
  }
  static std::string Resolve(Migrations& stub, const std::string& id,
                             v1::MigrationDecision decision,
                             v1::Migration* resolved = nullptr) {
    v1::ResolveMigrationRequest request;
    request.set_migration_id(id);
    request.set_decision(decision);
    v1::ResolveMigrationResponse response;
    const std::string outcome =
        Call(stub, &Migrations::ResolveMigration, request, &response);
    if (resolved != nullptr) *resolved = response.migration();
    return outcome;
  }
  uint64_t Owned() {
    v1::GetHostResponse response;
    EXPECT_EQ(Call(*hosts_, &v1::HostService::Stub::GetHost, {}, &response),
              "OK");
    return response.host().owned_pages();
  }

  const std::string other_address_ = "unix:" + (folder_ / "other");
  std::unique_ptr<Daemon> other_;
  std::unique_ptr<Migrations> migration_, other_migration_;
  std::unique_ptr<Domains> other_domains_;
  std::unique_ptr<Memory> other_memory_;
};

TEST_F(MigrationTest, DomainMovesWithWhatItHoldsAndNothingStays) {
  const uint64_t before = Owned();
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  ASSERT_EQ(Write(*memory_, "web", 3000, "hello"), "OK");
  const v1::Domain here = Get(*domains_, "web");
  std::vector<v1::MigrateDomainResponse> progress;
  ASSERT_EQ(Migrate(Wish("web"), &progress), "OK");
  EXPECT_EQ(Find(*domains_, "web"), "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(Owned(), before);

  const v1::Domain there = Get(*other_domains_, "web");
  EXPECT_EQ(there.state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(there.handover(), v1::HANDOVER_NONE);
  EXPECT_FALSE(there.suspended());
  EXPECT_EQ(there.uuid(), here.uuid());
  EXPECT_EQ(there.memory().current_pages(), here.memory().current_pages());
  EXPECT_EQ(Read(*other_memory_, "web", 3000, 5), "hello");

  ASSERT_FALSE(progress.empty());
  const v1::MigrateDomainResponse& last = progress.back();
  EXPECT_EQ(last.phase(), v1::MIGRATION_PHASE_MOVED);
  EXPECT_EQ(last.migration_id(), "the-one");
  EXPECT_EQ(last.domain().uuid(), here.uuid());
  EXPECT_GT(last.bytes_sent(), 8 * kPages);
  EXPECT_EQ(StateOf(*migration_, "the-one"), "MIGRATION_STATE_MOVED");
  EXPECT_EQ(StateOf(*other_migration_, "the-one"), "MIGRATION_STATE_COMMITTED");
}

TEST_F(MigrationTest, DomainMayArrivePaused) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.set_start_paused(true);
  ASSERT_EQ(Migrate(wish), "OK");
  EXPECT_EQ(Get(*other_domains_, "web").state(), v1::DOMAIN_STATE_PAUSED);
}

TEST_F(MigrationTest, WishesThatCannotBeReadAreRefusedByField) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.clear_domain();
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MISSING");
  wish = Wish("web");
  wish.clear_target();
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MISSING");
  for (const char* target : {"nonsense", "unix:", "host:0", "host:99999"}) {
    wish.set_target(target);
    EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MALFORMED") << target;
  }
  wish = Wish("web");
  wish.mutable_policy()->set_max_passes(1001);
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  wish = Wish("web");
  wish.mutable_policy()->set_max_bytes_per_second(4095);
  EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  for (const std::string& id : {std::string("Upper"), std::string(65, 'a')}) {
    wish = Wish("web");
    wish.set_migration_id(id);
    EXPECT_EQ(Migrate(wish), "INVALID_ARGUMENT ARGUMENT_MALFORMED") << id;
  }
  EXPECT_EQ(Migrate(Wish("nobody")), "NOT_FOUND DOMAIN_NOT_FOUND");
  wish = Wish("web");
  wish.mutable_domain()->set_domid(0);
  EXPECT_EQ(Migrate(wish), "FAILED_PRECONDITION DOM0_PROTECTED");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(StateOf(*other_migration_, "the-one"), "none");
}

TEST_F(MigrationTest, TargetThatIsNotThereLeavesTheDomainRunning) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::MigrateDomainRequest wish = Wish("web");
  wish.set_target("unix:" + (folder_ / "nobody"));
  EXPECT_EQ(Migrate(wish), "UNAVAILABLE TARGET_UNREACHABLE");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(StateOf(*migration_, "the-one"), "MIGRATION_STATE_KEPT");
  // Another try needs another id.
  EXPECT_EQ(Migrate(Wish("web")), "FAILED_PRECONDITION MIGRATION_SETTLED");
  wish = Wish("web");
  wish.set_migration_id("another");
  EXPECT_EQ(Migrate(wish), "OK");
}

TEST_F(MigrationTest, TargetWithoutRoomOrNameIsAskedBeforeAnyPageIsSent) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  v1::CreateDomainRequest taken = Wanted("web", kPages);
  ASSERT_EQ(Call(*other_domains_, &Domains::CreateDomain, taken), "OK");
  std::vector<v1::MigrateDomainResponse> progress;
  EXPECT_EQ(Migrate(Wish("web"), &progress), "ALREADY_EXISTS NAME_IN_USE");
  for (const v1::MigrateDomainResponse& step : progress) {
    EXPECT_EQ(step.phase(), v1::MIGRATION_PHASE_ADMISSION);
  }
  taken = Wanted("big", kFrames * 9 / 10);
  ASSERT_EQ(Call(*other_domains_, &Domains::CreateDomain, taken), "OK");
  ASSERT_EQ(Create(Wanted("large", kFrames / 4)), "OK");
  v1::MigrateDomainRequest wish = Wish("large");
  wish.set_migration_id("second");
  progress.clear();
  EXPECT_EQ(Migrate(wish, &progress),
            "RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED");
  for (const v1::MigrateDomainResponse& step : progress) {
    EXPECT_EQ(step.phase(), v1::MIGRATION_PHASE_ADMISSION);
  }
  EXPECT_EQ(Get(*domains_, "large").state(), v1::DOMAIN_STATE_RUNNING);
}

TEST_F(MigrationTest, CancelledCallLeavesTheDomainRunningHere) {
  ASSERT_EQ(Create(Wanted("web", kPages)), "OK");
  const uint64_t before = Owned();
  v1::MigrateDomainRequest wish = Wish("web");
  wish.mutable_policy()->set_max_bytes_per_second(100000);
  grpc::ClientContext context;
  const auto reader = migration_->MigrateDomain(&context, wish);
  v1::MigrateDomainResponse progress;
  while (progress.phase() != v1::MIGRATION_PHASE_COPYING) {
    ASSERT_TRUE(reader->Read(&progress));
  }
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // The daemon ends the migration when it has seen that.
  while (StateOf(*migration_, "the-one") == "MIGRATION_STATE_COPYING") {
  }
  while (StateOf(*other_migration_, "the-one") == "MIGRATION_STATE_RECEIVING") {
  }
  EXPECT_EQ(StateOf(*migration_, "the-one"), "MIGRATION_STATE_KEPT");
  EXPECT_EQ(StateOf(*other_migration_, "the-one"), "MIGRATION_STATE_DROPPED");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(Find(*other_domains_, "web"), "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(Owned(), before);
}

// What a source would send, and a source that the test plays.
class ReceiveTest : public MigrationTest {
 protected:
  using Stream = grpc::ClientReaderWriter<v1::ReceiveDomainRequest,
                                          v1::ReceiveDomainResponse>;

  ReceiveTest() {
    EXPECT_EQ(Create(Wanted("web", kPages)), "OK");
    EXPECT_EQ(Write(*memory_, "web", 3000, "hello"), "OK");
    image_ = Save();
    frames_ = Owned();
  }

  // The image of "web", which is gone then.
  std::string Save() {
    grpc::ClientContext context;
    const auto stream = migration_->SaveDomain(&context);
    v1::SaveDomainRequest request;
    request.mutable_start()->mutable_domain()->set_name("web");
    EXPECT_TRUE(stream->Write(request));
    std::string image;
    v1::SaveDomainResponse piece;
    while (!piece.last() && stream->Read(&piece)) image += piece.data();
    request.mutable_stored();
    stream->Write(request);
    stream->WritesDone();
    EXPECT_EQ(Outcome(stream->Finish()), "OK");
    return image;
  }

  std::unique_ptr<Stream> Offer(const std::string& id) {
    context_ = std::make_unique<grpc::ClientContext>();
    auto stream = migration_->ReceiveDomain(context_.get());
    v1::ReceiveDomainRequest request;
    request.mutable_offer()->set_migration_id(id);
    request.mutable_offer()->set_pages(kPages);
    request.mutable_offer()->set_source("a test");
    stream->Write(request);
    return stream;
  }
  static void Send(Stream& stream, absl::string_view image) {
    for (size_t at = 0; at < image.size(); at += 1 << 20) {
      v1::ReceiveDomainRequest request;
      request.set_data(std::string(image.substr(at, 1 << 20)));
      stream.Write(request);
    }
  }
  static bool Hear(Stream& stream, v1::ReceiveDomainResponse::StepCase step) {
    v1::ReceiveDomainResponse response;
    return stream.Read(&response) && response.step_case() == step;
  }
  // Offers and sends all; false unless it is prepared.
  bool Prepare(const std::string& id) {
    stream_ = Offer(id);
    Send(*stream_, image_);
    return Hear(*stream_, v1::ReceiveDomainResponse::kAdmitted) &&
           Hear(*stream_, v1::ReceiveDomainResponse::kPrepared);
  }
  std::string End(Stream& stream) {
    stream.WritesDone();
    v1::ReceiveDomainResponse unread;
    while (stream.Read(&unread)) {
    }
    return Outcome(stream.Finish());
  }
  bool Commit() {
    v1::ReceiveDomainRequest request;
    request.mutable_commit();
    return stream_->Write(request) &&
           Hear(*stream_, v1::ReceiveDomainResponse::kCommitted);
  }

  std::string image_;
  uint64_t frames_ = 0;  // owned without the domain
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
};

TEST_F(ReceiveTest, PreparedDomainIsHeldUntilItIsCommitted) {
  ASSERT_TRUE(Prepare("one"));
  const v1::Domain held = Get(*domains_, "web");
  EXPECT_EQ(held.state(), v1::DOMAIN_STATE_PAUSED);
  EXPECT_TRUE(held.suspended());
  EXPECT_EQ(held.handover(), v1::HANDOVER_INCOMING);
  v1::UnpauseDomainRequest unpause;
  unpause.mutable_domain()->set_name("web");
  EXPECT_EQ(Call(*domains_, &Domains::UnpauseDomain, unpause),
            "FAILED_PRECONDITION DOMAIN_SUSPENDED");
  v1::DestroyDomainRequest destroy;
  destroy.mutable_domain()->set_name("web");
  EXPECT_EQ(Call(*domains_, &Domains::DestroyDomain, destroy),
            "FAILED_PRECONDITION DOMAIN_MIGRATING");
  ASSERT_TRUE(Commit());
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(Read(*memory_, "web", 3000, 5), "hello");
  v1::ReceiveDomainRequest done;
  done.mutable_done();
  stream_->Write(done);
  EXPECT_EQ(End(*stream_), "OK");
}

TEST_F(ReceiveTest, SourceThatDiesAfterPreparedLeavesTheCopyToAnOperator) {
  ASSERT_TRUE(Prepare("one"));
  context_->TryCancel();
  stream_->Finish();
  EXPECT_EQ(StateOf(*migration_, "one"), "MIGRATION_STATE_PREPARED");
  EXPECT_EQ(Get(*domains_, "web").handover(), v1::HANDOVER_INCOMING);
  v1::Migration resolved;
  EXPECT_EQ(Resolve(*migration_, "one", v1::MIGRATION_DECISION_KEEP, &resolved),
            "OK");
  EXPECT_EQ(resolved.state(), v1::MIGRATION_STATE_COMMITTED);
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
  EXPECT_EQ(Resolve(*migration_, "one", v1::MIGRATION_DECISION_DROP),
            "FAILED_PRECONDITION MIGRATION_SETTLED");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
}

TEST_F(ReceiveTest, SourceThatAsksGetsAFinalAnswer) {
  ASSERT_TRUE(Prepare("one"));
  v1::Migration resolved;
  EXPECT_EQ(Resolve(*migration_, "one",
                    v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED, &resolved),
            "OK");
  EXPECT_EQ(resolved.state(), v1::MIGRATION_STATE_DROPPED);
  EXPECT_EQ(Owned(), frames_);
  // COMMIT that was on its way comes too late.
  EXPECT_FALSE(Commit());
  EXPECT_EQ(Outcome(stream_->Finish()),
            "FAILED_PRECONDITION MIGRATION_SETTLED");
  EXPECT_EQ(Find(*domains_, "web"), "NOT_FOUND DOMAIN_NOT_FOUND");

  ASSERT_TRUE(Prepare("two"));
  ASSERT_TRUE(Commit());
  EXPECT_EQ(Resolve(*migration_, "two",
                    v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED, &resolved),
            "OK");
  EXPECT_EQ(resolved.state(), v1::MIGRATION_STATE_COMMITTED);
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
}

TEST_F(ReceiveTest, DomainThatIsDroppedWhileItComesInIsRefusedAtItsEnd) {
  stream_ = Offer("one");
  Send(*stream_, absl::string_view(image_).substr(0, image_.size() / 2));
  ASSERT_TRUE(Hear(*stream_, v1::ReceiveDomainResponse::kAdmitted));
  EXPECT_EQ(
      Resolve(*migration_, "one", v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED),
      "OK");
  Send(*stream_, absl::string_view(image_).substr(image_.size() / 2));
  EXPECT_FALSE(Hear(*stream_, v1::ReceiveDomainResponse::kPrepared));
  EXPECT_EQ(Outcome(stream_->Finish()),
            "FAILED_PRECONDITION MIGRATION_SETTLED");
  EXPECT_EQ(Owned(), frames_);
}

TEST_F(ReceiveTest, StreamThatBreaksOffLeavesNothing) {
  for (const size_t part : {1, 3, 7}) {
    const std::string id = absl::StrCat("part-", part);
    stream_ = Offer(id);
    Send(*stream_,
         absl::string_view(image_).substr(0, image_.size() / part - 9));
    EXPECT_EQ(End(*stream_), "INVALID_ARGUMENT IMAGE_TRUNCATED");
    EXPECT_EQ(StateOf(*migration_, id), "MIGRATION_STATE_DROPPED");
    EXPECT_EQ(Owned(), frames_);
  }
}

TEST_F(ReceiveTest, StepsOutOfTurnAreRefused) {
  grpc::ClientContext context;
  const auto first = migration_->ReceiveDomain(&context);
  v1::ReceiveDomainRequest data;
  data.set_data("x");
  first->Write(data);
  EXPECT_EQ(End(*first), "INVALID_ARGUMENT ARGUMENT_MALFORMED");

  stream_ = Offer("early");
  v1::ReceiveDomainRequest commit;
  commit.mutable_commit();
  stream_->Write(commit);
  EXPECT_EQ(End(*stream_), "INVALID_ARGUMENT ARGUMENT_MALFORMED");

  EXPECT_EQ(End(*Offer("Not An Id")), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(End(*Offer("early")), "FAILED_PRECONDITION MIGRATION_SETTLED");
  // A second commit.
  ASSERT_TRUE(Prepare("twice"));
  ASSERT_TRUE(Commit());
  stream_->Write(commit);
  EXPECT_EQ(End(*stream_), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Get(*domains_, "web").state(), v1::DOMAIN_STATE_RUNNING);
}

TEST_F(ReceiveTest, StreamOfAnotherLayerOrAnotherKernelIsRefused) {
  stream_ = Offer("garbage");
  v1::ReceiveDomainRequest data;
  data.set_data(std::string(5000, 'x'));
  stream_->Write(data);
  EXPECT_EQ(End(*stream_), "INVALID_ARGUMENT IMAGE_MALFORMED");
  EXPECT_EQ(Owned(), frames_);
}

TEST_F(ReceiveTest, DecisionsAboutNothingAreRefused) {
  EXPECT_EQ(Resolve(*migration_, "none", v1::MIGRATION_DECISION_KEEP),
            "NOT_FOUND MIGRATION_NOT_FOUND");
  EXPECT_EQ(Resolve(*migration_, "none",
                    v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED),
            "NOT_FOUND MIGRATION_NOT_FOUND");
  EXPECT_EQ(Resolve(*migration_, "none", v1::MIGRATION_DECISION_UNSPECIFIED),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(
      Resolve(*migration_, "none", static_cast<v1::MigrationDecision>(99)),
      "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Resolve(*migration_, "", v1::MIGRATION_DECISION_KEEP),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
}

TEST_F(ReceiveTest, OldMigrationsAreForgottenButNotOneThatMayBeAskedFor) {
  ASSERT_TRUE(Prepare("kept"));
  ASSERT_TRUE(Commit());  // and not acknowledged
  context_->TryCancel();
  stream_->Finish();
  for (int i = 0; i < 300; ++i) End(*Offer(absl::StrCat("old-", i)));
  EXPECT_EQ(StateOf(*migration_, "old-0"), "none");
  EXPECT_EQ(StateOf(*migration_, "old-299"), "MIGRATION_STATE_DROPPED");
  EXPECT_EQ(StateOf(*migration_, "kept"), "MIGRATION_STATE_COMMITTED");
}

}  // namespace
}  // namespace simvisor::server
