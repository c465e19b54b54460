// Calls of MemoryService and the streams of HostService through a real channel.

#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/memory/memory_service.h"
#include "tests/server/services/api_requests.h"
#include "tests/support/sanitized.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Domains = v1::DomainService::Stub;
using Hosts = v1::HostService::Stub;
using Memory = v1::MemoryService::Stub;

// Frames are scattered, so that lists have many runs.
class ServerMemoryApiTest : public ServerTest {
 protected:
  ServerMemoryApiTest() : ServerTest(Placement::kScatter) {
    v1::Domain domain;
    EXPECT_EQ(Create(Wanted("web", kPages), &domain), "OK");
    domid_ = domain.domid();
    auto paused = Wanted("built", kPages);
    paused.set_start_paused(true);
    EXPECT_EQ(Create(paused, &domain), "OK");
    built_ = domain.domid();
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }

  std::string Translate(const std::vector<uint64_t>& pfns,
                        v1::TranslatePfnsResponse* response) {
    auto request = For<v1::TranslatePfnsRequest>(domid_);
    request.mutable_pfns()->Assign(pfns.begin(), pfns.end());
    return Call(*memory_, &Memory::TranslatePfns, request, response);
  }

  uint32_t domid_ = 0;
  uint32_t built_ = 0;
};

TEST_F(ServerMemoryApiTest, BalloonDownAndUp) {
  auto down = For<v1::BalloonDownRequest>(domid_);
  down.set_pages(1000);
  v1::BalloonDownResponse taken;
  ASSERT_EQ(Call(*memory_, &Memory::BalloonDown, down, &taken), "OK");
  EXPECT_EQ(taken.moved_pages(), 1000u);
  EXPECT_EQ(taken.memory().current_pages(), kPages - 1000);
  EXPECT_EQ(taken.memory().balloon_pages(), 1000u);

  auto up = For<v1::BalloonUpRequest>(domid_);
  up.set_pages(1000);
  v1::BalloonUpResponse given;
  ASSERT_EQ(Call(*memory_, &Memory::BalloonUp, up, &given), "OK");
  EXPECT_EQ(given.moved_pages(), 1000u);
  EXPECT_EQ(given.memory().current_pages(), kPages);
  EXPECT_EQ(given.memory().balloon_state(), v1::BALLOON_STATE_DONE);
}

TEST_F(ServerMemoryApiTest, BalloonsThatAreRefused) {
  auto down = For<v1::BalloonDownRequest>(domid_);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonDown, down),
            "INVALID_ARGUMENT RANGE_INVALID");
  down.set_pages(kLast);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonDown, down),
            "RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED");
  down = For<v1::BalloonDownRequest>(built_);
  down.set_pages(1);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonDown, down),
            "FAILED_PRECONDITION DOMAIN_NOT_RUNNING");
  auto up = For<v1::BalloonUpRequest>(domid_);
  up.set_pages(kLast);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonUp, up),
            "RESOURCE_EXHAUSTED MAX_MEM_EXCEEDED");
  // The hypervisor could give pages, but the guest has no room to take them.
  auto max = For<v1::SetMaxMemoryRequest>(domid_);
  max.set_max_pages(kPages + 10);
  ASSERT_EQ(Call(*memory_, &Memory::SetMaxMemory, max), "OK");
  up.set_pages(1);
  EXPECT_EQ(Call(*memory_, &Memory::BalloonUp, up),
            "RESOURCE_EXHAUSTED PFN_NOT_BALLOONABLE");
}

TEST_F(ServerMemoryApiTest, TargetsAndMaxima) {
  auto target = For<v1::SetMemoryTargetRequest>(domid_);
  EXPECT_EQ(Call(*memory_, &Memory::SetMemoryTarget, target),
            "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
  target.set_target_pages(kPages + 1);
  EXPECT_EQ(Call(*memory_, &Memory::SetMemoryTarget, target),
            "INVALID_ARGUMENT STATIC_MAX_EXCEEDED");
  target.set_target_pages(kPages / 2);
  v1::SetMemoryTargetResponse set;
  ASSERT_EQ(Call(*memory_, &Memory::SetMemoryTarget, target, &set), "OK");
  EXPECT_EQ(set.memory().target_pages(), kPages / 2);
  EXPECT_EQ(set.memory().current_pages(), kPages / 2);

  auto max = For<v1::SetMaxMemoryRequest>(domid_);
  max.set_max_pages(kPages / 2 - 1);
  EXPECT_EQ(Call(*memory_, &Memory::SetMaxMemory, max),
            "INVALID_ARGUMENT MAX_MEM_BELOW_TARGET");
  max.set_max_pages(uint64_t{1} << 32);
  EXPECT_EQ(Call(*memory_, &Memory::SetMaxMemory, max),
            "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
}

TEST_F(ServerMemoryApiTest, WordsAreSetAndTranslated) {
  auto mark = For<v1::MarkIdentityRangeRequest>(domid_);
  mark.set_start_pfn(100);
  mark.set_end_pfn(200);
  EXPECT_EQ(Call(*memory_, &Memory::MarkIdentityRange, mark),
            "FAILED_PRECONDITION PFN_HOLDS_RAM");
  mark.set_release_ram(true);
  v1::MarkIdentityRangeResponse marked;
  ASSERT_EQ(Call(*memory_, &Memory::MarkIdentityRange, mark, &marked), "OK");
  EXPECT_EQ(marked.marked_pages(), 100u);
  EXPECT_EQ(marked.released_pages(), 100u);

  auto set = For<v1::SetP2mRangeRequest>(domid_);
  set.set_first_pfn(150);
  set.set_count(10);
  set.set_p2m_class(v1::P2M_CLASS_MISSING);
  ASSERT_EQ(Call(*memory_, &Memory::SetP2mRange, set), "OK");

  v1::TranslatePfnsResponse words;
  ASSERT_EQ(Translate({99, 100, 150, uint64_t{1} << 40}, &words), "OK");
  EXPECT_THAT(
      words.classes(),
      testing::ElementsAre(v1::P2M_CLASS_RAM, v1::P2M_CLASS_IDENTITY,
                           v1::P2M_CLASS_MISSING, v1::P2M_CLASS_IDENTITY));
  EXPECT_EQ(words.frames(1), 100u);
  EXPECT_EQ(words.frames(2), kLast);
  EXPECT_EQ(words.frames(3), uint64_t{1} << 40);
}

TEST_F(ServerMemoryApiTest, RangesThatAreRefused) {
  auto set = For<v1::SetP2mRangeRequest>(domid_);
  set.set_count(1);
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  set.set_p2m_class(v1::P2M_CLASS_FOREIGN);
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  set.set_p2m_class(v1::P2M_CLASS_MISSING);
  set.set_first_mfn(1);
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  set.set_first_mfn(0);
  set.set_ram_policy(static_cast<v1::RamPolicy>(9));
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  set.set_ram_policy(v1::RAM_POLICY_KEEP);
  set.set_first_pfn(kLast);
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "OUT_OF_RANGE PFN_OUT_OF_RANGE");
  set.set_first_pfn(2);
  set.set_count(kLast);
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "OUT_OF_RANGE PFN_OUT_OF_RANGE");
  set.set_count(0);
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "INVALID_ARGUMENT RANGE_INVALID");
  auto mark = For<v1::MarkIdentityRangeRequest>(domid_);
  mark.set_start_pfn(2);
  mark.set_end_pfn(1);
  EXPECT_EQ(Call(*memory_, &Memory::MarkIdentityRange, mark),
            "INVALID_ARGUMENT RANGE_INVALID");
  v1::TranslatePfnsResponse words;
  EXPECT_EQ(Translate({}, &words), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Translate(std::vector<uint64_t>(65537), &words),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(Translate(std::vector<uint64_t>(65536), &words), "OK");
}

TEST_F(ServerMemoryApiTest, ListedRunsCoverTheListInBoundedResponses) {
  v1::GetP2mSummaryResponse summary;
  ASSERT_EQ(Call(*memory_, &Memory::GetP2mSummary,
                 For<v1::GetP2mSummaryRequest>(domid_), &summary),
            "OK");
  std::vector<v1::ListP2mRunsResponse> responses;
  ASSERT_EQ(CallStream(*memory_, &Memory::ListP2mRuns,
                       For<v1::ListP2mRunsRequest>(domid_), &responses),
            "OK");
  EXPECT_GT(responses.size(), 1u);
  uint64_t next = 0;
  uint64_t ram = 0;
  for (const auto& response : responses) {
    EXPECT_LE(response.runs_size(), 4096);
    for (const auto& run : response.runs()) {
      EXPECT_EQ(run.first_pfn(), next);
      next += run.count();
      if (run.p2m_class() == v1::P2M_CLASS_RAM) ram += run.count();
    }
  }
  EXPECT_EQ(next, summary.summary().p2m_size());
  EXPECT_EQ(ram, kPages);
}

TEST_F(ServerMemoryApiTest, ListThatFillsItsLastResponseEnds) {
  // One run per pfn: exactly one response, and exactly two.
  for (const uint64_t count : {4096u, 8192u}) {
    auto request = For<v1::ListP2mRunsRequest>(built_);
    request.set_end_pfn(count);
    std::vector<v1::ListP2mRunsResponse> responses;
    ASSERT_EQ(CallStream(*memory_, &Memory::ListP2mRuns, request, &responses),
              "OK");
    EXPECT_EQ(responses.size(), count / 4096);
  }
  auto request = For<v1::ListP2mRunsRequest>(built_);
  request.set_start_pfn(kPages - 4096);
  std::vector<v1::ListP2mRunsResponse> responses;
  EXPECT_EQ(CallStream(*memory_, &Memory::ListP2mRuns, request, &responses),
            "OK");
}

// A response of 4096 runs takes some 500 KiB while it is made.
TEST_F(ServerMemoryApiTest, ListsLeaveNothingWithTheThreadsThatMadeThem) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer's malloc does not count";
  const auto list_many = [this](int clients, int times) {
    std::vector<std::thread> threads;
    for (int i = 0; i < clients; ++i) {
      threads.emplace_back([this, times] {
        for (int j = 0; j < times; ++j) {
          EXPECT_EQ(CallStream(*memory_, &Memory::ListP2mRuns,
                               For<v1::ListP2mRunsRequest>(built_)),
                    "OK");
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  list_many(1, 1);
  const size_t before = mallinfo2().uordblks;
  list_many(4, 20);
  EXPECT_LT(mallinfo2().uordblks, before + (size_t{1} << 20));
}

TEST_F(ServerMemoryApiTest, ListsThatAreRefused) {
  auto request = For<v1::ListP2mRunsRequest>(domid_);
  request.set_start_pfn(kLast);
  EXPECT_EQ(CallStream(*memory_, &Memory::ListP2mRuns, request),
            "OUT_OF_RANGE PFN_OUT_OF_RANGE");
  request.set_view(static_cast<v1::P2mView>(8));
  EXPECT_EQ(CallStream(*memory_, &Memory::ListP2mRuns, request),
            "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(CallStream(*memory_, &Memory::ListP2mRuns,
                       For<v1::ListP2mRunsRequest>(99)),
            "NOT_FOUND DOMAIN_NOT_FOUND");
  EXPECT_EQ(Call(*memory_, &Memory::GetMfnListList,
                 For<v1::GetMfnListListRequest>(built_)),
            "FAILED_PRECONDITION DOMAIN_NOT_BOOTED");
}

TEST_F(ServerMemoryApiTest, WrittenBytesAreReadByPfnAndByMfn) {
  auto write = For<v1::WriteGuestMemoryRequest>(domid_);
  write.set_pfn(8000);
  write.set_offset_bytes(4090);
  write.set_data("over the end");
  ASSERT_EQ(Call(*memory_, &Memory::WriteGuestMemory, write), "OK");
  auto read = For<v1::ReadGuestMemoryRequest>(domid_);
  read.set_pfn(8000);
  read.set_offset_bytes(4090);
  read.set_length_bytes(14);
  v1::ReadGuestMemoryResponse bytes;
  ASSERT_EQ(Call(*memory_, &Memory::ReadGuestMemory, read, &bytes), "OK");
  EXPECT_EQ(bytes.data(), std::string("over the end\0\0", 14));

  v1::TranslatePfnsResponse words;
  ASSERT_EQ(Translate({8000, 8001, 8002}, &words), "OK");
  v1::ReadFramesRequest frames;
  for (const uint64_t mfn : words.frames()) {
    auto* const extent = frames.add_extents();
    extent->set_first_mfn(mfn);
    extent->set_count(1);
  }
  std::vector<v1::ReadFramesResponse> responses;
  ASSERT_EQ(CallStream(*hosts_, &Hosts::ReadFrames, frames, &responses), "OK");
  ASSERT_EQ(responses.size(), 1u);
  ASSERT_EQ(responses[0].frames_size(), 3);
  EXPECT_EQ(responses[0].frames(0).mfn(), words.frames(0));
  EXPECT_EQ(responses[0].frames(0).content(),
            absl::StrCat(std::string(4090, '\0'), "over t"));
  EXPECT_EQ(responses[0].frames(1).content().substr(0, 7),
            std::string("he end\0", 7));
  EXPECT_EQ(responses[0].frames(2).content(), "");
}

TEST_F(ServerMemoryApiTest, GuestBytesThatAreRefused) {
  auto read = For<v1::ReadGuestMemoryRequest>(domid_);
  EXPECT_EQ(Call(*memory_, &Memory::ReadGuestMemory, read),
            "INVALID_ARGUMENT RANGE_INVALID");
  read.set_length_bytes((1 << 20) + 1);
  EXPECT_EQ(Call(*memory_, &Memory::ReadGuestMemory, read),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  read.set_length_bytes(1);
  read.set_offset_bytes(4096);
  EXPECT_EQ(Call(*memory_, &Memory::ReadGuestMemory, read),
            "INVALID_ARGUMENT RANGE_INVALID");
  read.set_offset_bytes(0);
  read.set_pfn(kLast);
  EXPECT_EQ(Call(*memory_, &Memory::ReadGuestMemory, read),
            "FAILED_PRECONDITION PFN_NOT_RAM");
  auto write = For<v1::WriteGuestMemoryRequest>(domid_);
  write.set_data(std::string((1 << 20) + 1, 'x'));
  EXPECT_EQ(Call(*memory_, &Memory::WriteGuestMemory, write),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  // gRPC's own limit, with gRPC's message.
  write.set_data(std::string(5 << 20, 'x'));
  EXPECT_THAT(Call(*memory_, &Memory::WriteGuestMemory, write),
              testing::HasSubstr("no reason"));
}

TEST_F(ServerMemoryApiTest, FramesAreFoundInBoundedResponses) {
  v1::GetHostResponse host;
  ASSERT_EQ(Call(*hosts_, &Hosts::GetHost, {}, &host), "OK");
  v1::LookupFramesRequest request;
  request.add_extents()->set_count(host.host().max_mfn());
  std::vector<v1::LookupFramesResponse> responses;
  ASSERT_EQ(CallStream(*hosts_, &Hosts::LookupFrames, request, &responses),
            "OK");
  EXPECT_GT(responses.size(), 1u);
  uint64_t next = 0;
  uint64_t owned = 0;
  for (const auto& response : responses) {
    EXPECT_LE(response.runs_size(), 4096);
    for (const auto& run : response.runs()) {
      EXPECT_EQ(run.first_mfn(), next);
      next += run.count();
      if (run.state() == v1::FRAME_STATE_OWNED) owned += run.count();
    }
  }
  EXPECT_EQ(next, host.host().max_mfn());
  EXPECT_EQ(owned, host.host().owned_pages());
}

TEST_F(ServerMemoryApiTest, FramesThatAreRefused) {
  v1::ReadFramesRequest read;
  EXPECT_EQ(CallStream(*hosts_, &Hosts::ReadFrames, read),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  auto* const extent = read.add_extents();
  EXPECT_EQ(CallStream(*hosts_, &Hosts::ReadFrames, read),
            "INVALID_ARGUMENT RANGE_INVALID");
  extent->set_count(1);
  EXPECT_EQ(CallStream(*hosts_, &Hosts::ReadFrames, read),
            "FAILED_PRECONDITION FRAME_NOT_READABLE");
  extent->set_first_mfn(kLast - 1);
  EXPECT_EQ(CallStream(*hosts_, &Hosts::ReadFrames, read),
            "OUT_OF_RANGE MFN_OUT_OF_RANGE");
  extent->set_count(kLast);
  EXPECT_EQ(CallStream(*hosts_, &Hosts::ReadFrames, read),
            "OUT_OF_RANGE MFN_OUT_OF_RANGE");
  v1::LookupFramesRequest lookup;
  lookup.add_extents()->set_count(kLast);
  EXPECT_EQ(CallStream(*hosts_, &Hosts::LookupFrames, lookup),
            "OUT_OF_RANGE MFN_OUT_OF_RANGE");
}

}  // namespace
}  // namespace simvisor::server
