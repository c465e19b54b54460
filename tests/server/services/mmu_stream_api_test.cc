// One stream of a secondary MMU: how it begins, what it asks, how it ends.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/mmu_fixture.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using MmuStreamApiTest = MmuApiTest;

TEST_F(MmuStreamApiTest, RegistersFaultsAndLeaves) {
  MmuStream stream(*mmus_);
  const auto registered = Register(stream);
  EXPECT_EQ(registered.subscription(), 1u);
  EXPECT_EQ(registered.token(), "");
  EXPECT_EQ(registered.lease_ms(), 5000u);
  EXPECT_EQ(registered.seq(), 0u);
  EXPECT_GT(registered.epoch(), 0u);

  stream.Send("fault { req: 7 pfn: 4096 ahead: 3 }");
  const v1::SubscribeResponse installed = stream.Read();
  EXPECT_EQ(installed.ev(), 2u);
  EXPECT_EQ(installed.installed().req(), 7u);
  EXPECT_EQ(installed.installed().pfn(), 4096u);
  EXPECT_EQ(installed.installed().count(), 4u);
  EXPECT_FALSE(installed.installed().writable());

  stream.Send("unregister {}");
  EXPECT_EQ(stream.Next(), "unregistered { }");
  EXPECT_EQ(stream.End(), "OK");
  EXPECT_EQ(List().mmus_size(), 0);
}

TEST_F(MmuStreamApiTest, ClientMayHalfCloseOnceItHasLeft) {
  MmuStream stream(*mmus_);
  Register(stream);
  stream.Send("unregister {}").HalfClose();
  EXPECT_EQ(stream.Next(), "unregistered { }");
  EXPECT_EQ(stream.End(), "OK");
}

TEST_F(MmuStreamApiTest, TwoStepFaultsAreResolvedAndCommitted) {
  MmuStream stream(*mmus_);
  Register(stream);
  stream.Send("fault { req: 1 pfn: 4096 write: true two_step: true }");
  EXPECT_THAT(stream.Next(), StartsWith("resolved { req: 1 mfn: "));
  stream.Send("commit { req: 1 }");
  EXPECT_THAT(stream.Next(), HasSubstr("count: 1 writable: true"));
  stream.Send("commit { req: 1 }");
  EXPECT_EQ(stream.Next(),
            "fault_error { req: 1 code: \"NOT_FOUND\" reason: "
            "\"FAULT_NOT_FOUND\" }");
}

TEST_F(MmuStreamApiTest, WhatIsNoFrameIsNotMapped) {
  MmuStream stream(*mmus_);
  Register(stream);
  // Past the list: identity.
  stream.Send("fault { req: 1 pfn: 68719476736 }");
  EXPECT_EQ(stream.Next(),
            "not_mapped { req: 1 p2m_class: P2M_CLASS_IDENTITY }");
}

TEST_F(MmuStreamApiTest, LoadsAndStoresThroughItsMappings) {
  MmuStream stream(*mmus_);
  Register(stream);
  stream.Send("access { req: 1 pfn: 4096 length_bytes: 2 }");
  EXPECT_EQ(stream.Next(), "accessed { req: 1 reason: \"MAPPING_STALE\" }");
  stream.Send("fault { req: 2 pfn: 4096 }");
  EXPECT_THAT(stream.Next(), StartsWith("installed"));
  stream.Send("access { req: 3 pfn: 4096 offset_bytes: 5 data: \"hi\" }");
  EXPECT_EQ(stream.Next(), "accessed { req: 3 reason: \"MAPPING_READ_ONLY\" }");
  stream.Send("fault { req: 4 pfn: 4096 write: true }");
  EXPECT_THAT(stream.Next(), StartsWith("installed"));
  stream.Send("access { req: 5 pfn: 4096 offset_bytes: 5 data: \"hi\" }");
  EXPECT_EQ(stream.Next(), "accessed { req: 5 }");
  stream.Send("access { req: 6 pfn: 4096 offset_bytes: 4 length_bytes: 3 }");
  EXPECT_EQ(stream.Next(), "accessed { req: 6 data: \"\\000hi\" }");
  stream.Send("access { req: 7 pfn: 4096 offset_bytes: 4095 length_bytes: 2 }");
  EXPECT_EQ(stream.Next(), "accessed { req: 7 reason: \"RANGE_INVALID\" }");
  stream.Send("access { req: 8 pfn: 4096 length_bytes: 1 data: \"x\" }");
  EXPECT_EQ(stream.Next(), "accessed { req: 8 reason: \"RANGE_INVALID\" }");
  // The guest sees what the device has stored.
  auto read = For<v1::ReadGuestMemoryRequest>(domid_);
  read.set_pfn(4096);
  read.set_offset_bytes(5);
  read.set_length_bytes(2);
  v1::ReadGuestMemoryResponse bytes;
  EXPECT_EQ(
      Call(*memory_, &v1::MemoryService::Stub::ReadGuestMemory, read, &bytes),
      "OK");
  EXPECT_EQ(bytes.data(), "hi");
}

TEST_F(MmuStreamApiTest, DroppedMappingsAreStale) {
  MmuStream stream(*mmus_);
  Register(stream);
  stream.Send("fault { req: 1 pfn: 4096 }");
  EXPECT_THAT(stream.Next(), StartsWith("installed"));
  stream.Send("drop { pfns { first_pfn: 4096 count: 1 } }");
  stream.Send("access { req: 2 pfn: 4096 length_bytes: 1 }");
  EXPECT_EQ(stream.Next(), "accessed { req: 2 reason: \"MAPPING_STALE\" }");
}

TEST_F(MmuStreamApiTest, IntervalsAreWatchedAndUnwatched) {
  MmuStream stream(*mmus_);
  Register(stream,
           "rule: RETRY_RULE_INTERVAL intervals { first_pfn: 0 count: 16 }");
  stream.Send("fault { req: 1 pfn: 16 }");
  EXPECT_EQ(stream.Next(),
            "fault_error { req: 1 code: \"OUT_OF_RANGE\" reason: "
            "\"PFN_NOT_WATCHED\" }");
  stream.Send("watch { req: 2 pfns { first_pfn: 8 count: 16 } }");
  EXPECT_EQ(stream.Next(),
            "fault_error { req: 2 code: \"INVALID_ARGUMENT\" reason: "
            "\"RANGE_INVALID\" }");
  stream.Send("watch { req: 3 pfns { first_pfn: 16 } }");
  EXPECT_EQ(stream.Next(),
            "fault_error { req: 3 code: \"INVALID_ARGUMENT\" reason: "
            "\"RANGE_INVALID\" }");
  stream.Send("watch { req: 4 pfns { first_pfn: 16 count: 4096 } }");
  EXPECT_EQ(stream.Next(), "watched { req: 4 }");
  stream.Send("fault { req: 5 pfn: 4096 }");
  EXPECT_THAT(stream.Next(), StartsWith("installed { req: 5"));
  stream.Send("unwatch { req: 6 pfns { first_pfn: 16 count: 1 } }");
  EXPECT_EQ(stream.Next(),
            "fault_error { req: 6 code: \"OUT_OF_RANGE\" reason: "
            "\"PFN_NOT_WATCHED\" }");
  stream.Send("unwatch { req: 7 pfns { first_pfn: 16 count: 4096 } }");
  EXPECT_EQ(stream.Next(), "unwatched { req: 7 }");
}

TEST_F(MmuStreamApiTest, FaultsBeyondTheWindowAreThrottled) {
  MmuStream stream(*mmus_);
  Register(stream, "fault_window: 2");
  for (int i = 1; i <= 3; ++i) {
    stream.Send(
        absl::StrCat("fault { req: ", i, " pfn: 4096 two_step: true }"));
  }
  EXPECT_THAT(stream.Next(), StartsWith("resolved { req: 1"));
  EXPECT_THAT(stream.Next(), StartsWith("resolved { req: 2"));
  EXPECT_EQ(stream.Next(), "retry { req: 3 cause: RETRY_CAUSE_THROTTLED }");
}

TEST_F(MmuStreamApiTest, FloodsOfRequestsAreAnsweredInOrder) {
  constexpr int kFlood = 3 * 16384;
  MmuStream stream(*mmus_);
  Register(stream);
  UnderWay sender([&]() -> std::string {
    for (int i = 1; i <= kFlood; ++i) {
      stream.Send(absl::StrCat("renew { nonce: ", i, " }"));
    }
    return "OK";
  });
  for (int i = 1; i <= kFlood; ++i) {
    const v1::SubscribeResponse response = stream.Read();
    ASSERT_EQ(response.renewed().nonce(), static_cast<uint64_t>(i));
    ASSERT_EQ(response.ev(), static_cast<uint64_t>(i + 1));
  }
  EXPECT_EQ(sender.Outcome(), "OK");
}

TEST_F(MmuStreamApiTest, FirstMessageMustOpenASubscription) {
  EXPECT_EQ(Refused("ack { ev: 1 }"), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Refused(""), "INVALID_ARGUMENT ARGUMENT_MISSING");
  MmuStream stream(*mmus_);
  stream.HalfClose();
  EXPECT_EQ(stream.End(), "INVALID_ARGUMENT ARGUMENT_MISSING");
}

TEST_F(MmuStreamApiTest, BadRegistrationsLeaveNothing) {
  EXPECT_EQ(Refused("register { name: \"x\" }"),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Refused("register { domain { domid: 77 } name: \"x\" }"),
            "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(
      Refused(absl::StrCat("register { domain { domid: ", domid_, " } }")),
      "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Refused(Registration("lease_ms: 60001")),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Refused(Registration("fault_window: 4097")),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Refused(Registration("rule: 9")),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Refused(Registration("events: 9")),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Refused(Registration("intervals { first_pfn: 1 }")),
            "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(Refused(Registration("intervals { first_pfn: 1 count: 2 } "
                                 "intervals { first_pfn: 2 count: 2 }")),
            "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(Refused(Registration("expect_epoch: 9999")),
            "FAILED_PRECONDITION EPOCH_CHANGED");
  EXPECT_EQ(List().mmus_size(), 0);
  EXPECT_EQ(Get().secondary_mmus().subscriptions(), 0u);
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(MmuStreamApiTest, ADomainHasPlaceFor64) {
  std::vector<std::unique_ptr<MmuStream>> streams;
  for (int i = 0; i < 64; ++i) {
    streams.push_back(std::make_unique<MmuStream>(*mmus_));
    Register(*streams.back());
  }
  EXPECT_EQ(Refused(Registration()),
            "RESOURCE_EXHAUSTED SECONDARY_MMUS_EXHAUSTED");
  // One leaves, and another takes its place.
  streams[5]->Send("unregister {}");
  EXPECT_EQ(streams[5]->End(), "OK");
  Register(*(streams[5] = std::make_unique<MmuStream>(*mmus_)));
}

TEST_F(MmuStreamApiTest, BreakingTheProtocolFences) {
  for (const char* const message :
       {"register { name: \"again\" }", "resume { subscription: 1 }",
        "fault { req: 1 pfn: 1 ahead: 512 }",
        "watch { req: 1 pfns { first_pfn: 1 count: 1 } }"}) {
    MmuStream stream(*mmus_);
    Register(stream);
    stream.Send(message);
    EXPECT_EQ(stream.End(), "FAILED_PRECONDITION SECONDARY_MMU_PROTOCOL")
        << message;
  }
  for (const char* const message : {"", "drop { pfns { first_pfn: 1 } }"}) {
    MmuStream stream(*mmus_);
    Register(stream);
    EXPECT_THAT(stream.Send(message).End(), StartsWith("INVALID_ARGUMENT "))
        << message;
  }
  EXPECT_EQ(Get().secondary_mmus().fences(), 6u);
  EXPECT_EQ(Get().secondary_mmus().subscriptions(), 0u);
}

TEST_F(MmuStreamApiTest, ARequestNumberInUseFences) {
  MmuStream stream(*mmus_);
  Register(stream);
  stream.Send("fault { req: 1 pfn: 4096 two_step: true }");
  EXPECT_THAT(stream.Next(), StartsWith("resolved"));
  stream.Send("fault { req: 1 pfn: 4097 two_step: true }");
  EXPECT_EQ(stream.End(), "FAILED_PRECONDITION SECONDARY_MMU_PROTOCOL");
}

TEST_F(MmuStreamApiTest, TooManyExtentsFence) {
  std::string many;
  for (int i = 0; i < 1025; ++i) {
    absl::StrAppend(&many, "pfns { first_pfn: ", 2 * i, " count: 1 } ");
  }
  MmuStream stream(*mmus_);
  Register(stream);
  stream.Send("drop { " + many + " }");
  EXPECT_EQ(stream.End(), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
}

TEST_F(MmuStreamApiTest, AcksOfUnknownEventsAreIgnored) {
  MmuStream stream(*mmus_);
  Register(stream);
  stream.Send("ack { ev: 1 }").Send("ack { ev: 99 }");
  stream.Send("renew { nonce: 5 }");
  EXPECT_EQ(stream.Next(), "renewed { nonce: 5 extended: true }");
}

}  // namespace
}  // namespace simvisor::server
