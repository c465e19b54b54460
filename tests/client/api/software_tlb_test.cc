// The software TLB against a daemon whose words the test writes.

#include "client/api/software_tlb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "simvisor/v1/secondary_mmu_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::HasSubstr;

using Heard = v1::SubscribeRequest;
using Said = v1::SubscribeResponse;

constexpr absl::Duration kDeadline = absl::Seconds(30);

// One subscription.
class ScriptedDaemon : public v1::SecondaryMmuService::Service {
 public:
  grpc::Status Subscribe(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<Said, Heard>* stream) override {
    {
      absl::MutexLock lock(&mu_);
      stream_ = stream;
    }
    Heard request;
    while (stream->Read(&request)) {
      absl::MutexLock lock(&mu_);
      heard_.push_back(request);
    }
    absl::MutexLock lock(&mu_);
    stream_ = nullptr;
    return grpc::Status::OK;
  }

  // Says something, with the next number.
  void Say(Said message) {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &ScriptedDaemon::is_there));
    message.set_ev(++last_ev_);
    stream_->Write(message);
  }
  void SkipNumber() {
    absl::MutexLock lock(&mu_);
    ++last_ev_;
  }

  // The next message that is not a renewal; nullopt after `patience`.
  std::optional<Heard> Hear(absl::Duration patience = kDeadline) {
    return Next(patience, false);
  }
  Heard HearRenewal() { return *Next(kDeadline, true); }

 private:
  std::optional<Heard> Next(absl::Duration patience, bool renewal) {
    const auto find = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return std::find_if(
          heard_.begin(), heard_.end(),
          [&](const Heard& heard) { return heard.has_renew() == renewal; });
    };
    const auto has = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return find() != heard_.end();
    };
    absl::MutexLock lock(&mu_);
    if (!mu_.AwaitWithTimeout(absl::Condition(&has), patience)) {
      return std::nullopt;
    }
    const auto found = find();
    Heard heard = *found;
    heard_.erase(found);
    return heard;
  }

  bool is_there() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stream_ != nullptr;
  }

  absl::Mutex mu_;
  grpc::ServerReaderWriter<Said, Heard>* stream_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::deque<Heard> heard_ ABSL_GUARDED_BY(mu_);
  uint64_t last_ev_ ABSL_GUARDED_BY(mu_) = 0;
};

Said Registered(int lease_ms) {
  Said said;
  said.mutable_registered()->set_subscription(7);
  said.mutable_registered()->set_lease_ms(lease_ms);
  return said;
}

Said Installed(uint64_t req, uint64_t pfn, uint32_t count = 1) {
  Said said;
  auto& installed = *said.mutable_installed();
  installed.set_req(req);
  installed.set_pfn(pfn);
  installed.set_mfn(0x1000 + pfn);
  installed.set_count(count);
  installed.set_writable(true);
  return said;
}

Said Begin(uint64_t range, uint64_t first, uint64_t count,
           v1::InvalidateReason reason = v1::INVALIDATE_REASON_UNMAP) {
  Said said;
  auto& begin = *said.mutable_begin();
  begin.set_range_id(range);
  begin.set_reason(reason);
  begin.add_pfns()->set_first_pfn(first);
  begin.mutable_pfns(0)->set_count(count);
  return said;
}

Said End(uint64_t range) {
  Said said;
  said.mutable_end()->set_range_id(range);
  return said;
}

class SoftwareTlbTest : public testing::Test {
 protected:
  SoftwareTlbTest() {
    const std::string address = "unix:" + folder_ / "fake.sock";
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&daemon_);
    server_ = builder.BuildAndStart();
    client_ = *Client::Create(address, {});
  }

  ~SoftwareTlbTest() override {
    if (tlb_) Leave();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  void Attach(int lease_ms = 60'000, SoftwareTlb::Options options = {}) {
    options.lease = absl::Milliseconds(lease_ms);
    auto attached = std::async(std::launch::async, [&] {
      v1::DomainRef web;
      web.set_name("web");
      return SoftwareTlb::Attach(*client_, web, std::move(options),
                                 {.timeout = kDeadline});
    });
    EXPECT_EQ(daemon_.Hear()->register_().domain().name(), "web");
    daemon_.Say(Registered(lease_ms));
    auto tlb = attached.get();
    ASSERT_TRUE(tlb.ok()) << tlb.status();
    tlb_ = *std::move(tlb);
  }

  // Breaks the connection, which ends the stream.
  void Leave() {
    server_->Shutdown(std::chrono::system_clock::now());
    tlb_->AwaitEnd(kDeadline);
    tlb_.reset();
  }

  std::future<absl::StatusOr<bool>> Use(uint64_t pfn, bool write = false) {
    return std::async(std::launch::async, [this, pfn, write] {
      return tlb_->Use(pfn, write,
                       [&](uint64_t mfn) { EXPECT_EQ(mfn, 0x1000 + pfn); });
    });
  }

  void Map(uint64_t pfn, uint32_t count = 1) {
    auto used = Use(pfn);
    daemon_.Say(Installed(daemon_.Hear()->fault().req(), pfn, count));
    EXPECT_THAT(used.get(), absl::StatusOr<bool>(true));
  }

  ScopedFolder folder_;
  ScriptedDaemon daemon_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<SoftwareTlb> tlb_;
};

TEST_F(SoftwareTlbTest, AFaultInstallsAllPagesOfTheAnswer) {
  Attach();
  Map(5, 3);
  EXPECT_EQ(*Use(7, true).get(), true);
  EXPECT_EQ(tlb_->mapped(), 3U);
}

TEST_F(SoftwareTlbTest, TheAcknowledgementWaitsForAUse) {
  Attach();
  Map(5);
  absl::Notification inside;
  absl::Notification leave;
  std::thread user([&] {
    EXPECT_TRUE(tlb_->Use(5, false,
                          [&](uint64_t) {
                            inside.Notify();
                            leave.WaitForNotification();
                          })
                    .ok());
  });
  inside.WaitForNotification();
  daemon_.Say(Begin(1, 0, 64));
  EXPECT_FALSE(daemon_.Hear(absl::Milliseconds(100)));
  leave.Notify();
  EXPECT_EQ(daemon_.Hear()->ack().ev(), 3U);
  user.join();
  EXPECT_EQ(tlb_->mapped(), 0U);
}

TEST_F(SoftwareTlbTest, ProtectionTakesOnlyWriteAccess) {
  Attach();
  Map(5);
  daemon_.Say(Begin(1, 0, 64, v1::INVALIDATE_REASON_PROTECT));
  EXPECT_TRUE(daemon_.Hear()->has_ack());
  EXPECT_EQ(*Use(5).get(), true);
  auto used = Use(5, true);
  const Heard fault = *daemon_.Hear();
  EXPECT_TRUE(fault.fault().write());
  daemon_.Say(Installed(fault.fault().req(), 5));
  EXPECT_EQ(*used.get(), true);
}

TEST_F(SoftwareTlbTest, APageThatDoesNotExistIsNotUsed) {
  Attach();
  auto used = Use(9);
  Said said;
  said.mutable_not_mapped()->set_req(daemon_.Hear()->fault().req());
  daemon_.Say(said);
  EXPECT_EQ(*used.get(), false);
}

TEST_F(SoftwareTlbTest, AnErrorEndsTheWaitForAFault) {
  Attach();
  auto used = Use(9);
  Said said;
  auto& error = *said.mutable_fault_error();
  error.set_req(daemon_.Hear()->fault().req());
  error.set_code("OUT_OF_RANGE");
  error.set_reason("PFN_NOT_WATCHED");
  daemon_.Say(said);
  EXPECT_THAT(used.get().status().message(), HasSubstr("PFN_NOT_WATCHED"));
}

TEST_F(SoftwareTlbTest, AStoreIsSentBeforeTheAcknowledgement) {
  Attach();
  Map(5);
  auto stored =
      std::async(std::launch::async, [&] { return tlb_->Store(5, 8, "text"); });
  const Heard access = *daemon_.Hear();
  EXPECT_EQ(access.access().data(), "text");
  daemon_.Say(Begin(1, 5, 1));
  EXPECT_TRUE(daemon_.Hear()->has_ack());
  Said said;
  said.mutable_accessed()->set_req(access.access().req());
  daemon_.Say(said);
  EXPECT_EQ(*stored.get(), true);
}

TEST_F(SoftwareTlbTest, NothingIsUsedOnALeaseThatWasNotExtended) {
  absl::Duration now;
  absl::Mutex mu;
  Attach(60'000, {.clock = [&] {
           absl::MutexLock lock(&mu);
           return now;
         }});
  Map(5);
  const Heard renewal = daemon_.HearRenewal();
  {
    absl::MutexLock lock(&mu);
    now = absl::Seconds(54);
  }
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      tlb_->Use(
              5, false, [](uint64_t) {}, absl::Milliseconds(0))
          .status()));
  Said said;
  said.mutable_renewed()->set_nonce(renewal.renew().nonce());
  said.mutable_renewed()->set_extended(false);
  daemon_.Say(said);
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      tlb_->Use(
              5, false, [](uint64_t) {}, absl::Milliseconds(0))
          .status()));
}

TEST_F(SoftwareTlbTest, AnAnswerThatIsOlderThanADropDoesNotCount) {
  Attach();
  auto used = Use(5);
  const Heard first = *daemon_.Hear();
  v1::PfnExtent all;
  all.set_count(64);
  tlb_->Drop(all);
  EXPECT_TRUE(daemon_.Hear()->has_drop());
  daemon_.Say(Installed(first.fault().req(), 5));
  const Heard second = *daemon_.Hear();
  ASSERT_TRUE(second.has_fault());
  daemon_.Say(Installed(second.fault().req(), 5));
  EXPECT_EQ(*used.get(), true);
}

TEST_F(SoftwareTlbTest, TheEndOfTheStreamEndsAllWaits) {
  Attach();
  auto used = Use(5);
  EXPECT_TRUE(daemon_.Hear()->has_fault());
  server_->Shutdown(std::chrono::system_clock::now());
  EXPECT_FALSE(used.get().ok());
  EXPECT_FALSE(Use(5).get().ok());
  EXPECT_EQ(tlb_->mapped(), 0U);
}

TEST_F(SoftwareTlbTest, InstalledIsIgnoredOnceItHasLeft) {
  Attach();
  auto used = Use(5);
  const Heard fault = *daemon_.Hear();
  auto left = std::async(std::launch::async, [&] { tlb_->Detach(); });
  EXPECT_TRUE(daemon_.Hear()->has_unregister());
  daemon_.Say(Installed(fault.fault().req(), 5));
  EXPECT_EQ(tlb_->mapped(), 0U);
  server_->Shutdown(std::chrono::system_clock::now());
  left.get();
  EXPECT_FALSE(used.get().ok());
  EXPECT_EQ(tlb_->mapped(), 0U);
}

TEST_F(SoftwareTlbTest, ARangeThatIsClosedTwiceEndsIt) {
  Attach();
  daemon_.Say(Begin(1, 0, 64));
  daemon_.Say(End(1));
  daemon_.Say(End(1));
  ASSERT_TRUE(tlb_->AwaitEnd(kDeadline));
  EXPECT_THAT(tlb_->End().message(), HasSubstr("range 1 is closed twice"));
}

TEST_F(SoftwareTlbTest, AGapInTheNumbersEndsIt) {
  Attach();
  daemon_.SkipNumber();
  daemon_.Say(Begin(1, 0, 64));
  ASSERT_TRUE(tlb_->AwaitEnd(kDeadline));
  EXPECT_THAT(tlb_->End().message(), HasSubstr("message 3 came, 2 was due"));
}

TEST_F(SoftwareTlbTest, WhatWasUsedIsYoungOnce) {
  Attach();
  Map(5, 4);
  EXPECT_EQ(*Use(6).get(), true);
  Said said;
  said.mutable_young()->mutable_pfns()->set_count(64);
  said.mutable_young()->set_clear(true);
  daemon_.Say(said);
  const Heard young = *daemon_.Hear();
  ASSERT_EQ(young.young().young_size(), 1);
  EXPECT_EQ(young.young().young(0).first_pfn(), 5U);
  EXPECT_EQ(young.young().young(0).count(), 2U);
  daemon_.Say(said);
  EXPECT_EQ(daemon_.Hear()->young().young_size(), 0);
}

}  // namespace
}  // namespace simvisor::client
