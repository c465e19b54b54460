// The target's end of a migration; the test plays the source.

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "simvisor/v1/migration_service.grpc.pb.h"
#include "tests/server/migration/migration_fixture.h"

namespace simvisor::server {
namespace {

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

  // Saves "web" and destroys it; returns its image.
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
  // Offers and sends the whole domain; false unless it is prepared.
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
  uint64_t frames_ = 0;  // frames owned without the domain
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
};

TEST_F(ReceiveTest, PreparedDomainIsHeldUntilCommit) {
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
  // A COMMIT that was under way comes too late.
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

TEST_F(ReceiveTest, DomainDroppedWhileArrivingIsGoneBeforeTheAnswer) {
  for (const auto decision : {v1::MIGRATION_DECISION_DROP_UNLESS_COMMITTED,
                              v1::MIGRATION_DECISION_DROP}) {
    const std::string id = absl::StrCat("one-", decision);
    stream_ = Offer(id);
    Send(*stream_, absl::string_view(image_).substr(0, image_.size() / 2));
    ASSERT_TRUE(Hear(*stream_, v1::ReceiveDomainResponse::kAdmitted));
    v1::Migration resolved;
    EXPECT_EQ(Resolve(*migration_, id, decision, &resolved), "OK");
    EXPECT_EQ(resolved.state(), v1::MIGRATION_STATE_DROPPED);
    EXPECT_EQ(Owned(), frames_);
    // The source is told why.
    EXPECT_EQ(End(*stream_), "FAILED_PRECONDITION MIGRATION_SETTLED");
    // Name and uuid are free again.
    ASSERT_TRUE(Prepare(id + "-again"));
    EXPECT_EQ(Resolve(*migration_, id + "-again", v1::MIGRATION_DECISION_DROP),
              "OK");
    EXPECT_EQ(Owned(), frames_);
  }
}

TEST_F(ReceiveTest, SilentSourceLosesItsClaim) {
  stream_ = Offer("silent");
  Send(*stream_, absl::string_view(image_).substr(0, image_.size() / 2));
  ASSERT_TRUE(Hear(*stream_, v1::ReceiveDomainResponse::kAdmitted));
  EXPECT_GE(ThisHost().claimed_pages(), kPages);
  EXPECT_EQ(ThisHost().incoming_domain_count(), 1u);
  v1::ListDomainsResponse list;
  ASSERT_EQ(Call(*domains_, &Domains::ListDomains, {}, &list), "OK");
  ASSERT_EQ(list.incoming_size(), 1);
  EXPECT_EQ(list.incoming(0).name(), "web");
  EXPECT_GE(list.incoming(0).claimed_pages(), kPages);
  EXPECT_EQ(list.domains_size(), 1);
  while (ThisHost().claimed_pages() > 0) clock_.Advance(10);
  EXPECT_EQ(ThisHost().incoming_domain_count(), 0u);
  EXPECT_EQ(StateOf(*migration_, "silent"), "MIGRATION_STATE_DROPPED");
  v1::ReceiveDomainResponse none;
  EXPECT_FALSE(stream_->Read(&none));
  EXPECT_EQ(Outcome(stream_->Finish()), "ABORTED CALL_STALLED");
  ASSERT_TRUE(Prepare("again"));
  EXPECT_EQ(Resolve(*migration_, "again", v1::MIGRATION_DECISION_DROP), "OK");
}

TEST_F(ReceiveTest, SourceThatStallsAfterPreparedLeavesTheCopy) {
  ASSERT_TRUE(Prepare("one"));
  v1::ReceiveDomainResponse none;
  std::thread time([this] {
    while (StateOf(*migration_, "done") == "none") {
      clock_.Advance(10);
      absl::SleepFor(absl::Milliseconds(1));
    }
  });
  EXPECT_FALSE(stream_->Read(&none));
  EXPECT_EQ(Outcome(stream_->Finish()), "ABORTED CALL_STALLED");
  End(*Offer("done"));
  time.join();
  EXPECT_EQ(StateOf(*migration_, "one"), "MIGRATION_STATE_PREPARED");
  EXPECT_EQ(Get(*domains_, "web").handover(), v1::HANDOVER_INCOMING);
  EXPECT_EQ(Resolve(*migration_, "one", v1::MIGRATION_DECISION_DROP), "OK");
  EXPECT_EQ(Owned(), frames_);
}

TEST_F(ReceiveTest, MigrationsAreListedInPages) {
  for (int i = 0; i < 5; ++i) End(*Offer(absl::StrCat("old-", i)));
  ASSERT_TRUE(Prepare("to-decide"));
  v1::ListMigrationsRequest request;
  request.set_page_size(4);
  std::vector<std::string> ids;
  do {
    v1::ListMigrationsResponse page;
    ASSERT_EQ(Call(*migration_, &Migrations::ListMigrations, request, &page),
              "OK");
    EXPECT_LE(page.migrations_size(), 4);
    EXPECT_FALSE(page.instance_id().empty());
    for (const v1::Migration& one : page.migrations()) {
      ids.push_back(one.migration_id());
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(ids, (std::vector<std::string>{"to-decide", "old-0", "old-1",
                                           "old-2", "old-3", "old-4"}));
  request.set_page_token("x");
  EXPECT_EQ(Call(*migration_, &Migrations::ListMigrations, request),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  request.set_page_token("");
  request.set_page_size(1001);
  EXPECT_EQ(Call(*migration_, &Migrations::ListMigrations, request),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(Resolve(*migration_, "to-decide", v1::MIGRATION_DECISION_DROP),
            "OK");
}

TEST_F(ReceiveTest, OpenCallIsRememberedWhileOthersAreForgotten) {
  const auto open = Offer("open");
  auto context = std::move(context_);
  for (int i = 0; i < 300; ++i) End(*Offer(absl::StrCat("old-", i)));
  EXPECT_EQ(Resolve(*migration_, "open", v1::MIGRATION_DECISION_DROP), "OK");
  End(*open);
  EXPECT_EQ(StateOf(*migration_, "open"), "MIGRATION_STATE_DROPPED");
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

TEST_F(ReceiveTest, DecisionsAboutUnknownMigrationsAreRefused) {
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

TEST_F(ReceiveTest, OldMigrationsAreForgottenUnlessTheirSourceMayAsk) {
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
