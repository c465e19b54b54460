// Foreign frames and mfn to pfn through a real channel.

#include <cstdint>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/services/api_requests.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Domains = v1::DomainService::Stub;
using Memory = v1::MemoryService::Stub;

constexpr uint64_t kHole = kPages + 100;  // in the mapper's balloon

class ServerForeignApiTest : public ServerTest {
 protected:
  ServerForeignApiTest() {
    v1::Domain domain;
    auto mapper = Wanted("mapper", kPages);
    mapper.mutable_spec()->set_max_memory_pages(2 * kPages);
    EXPECT_EQ(Create(mapper, &domain), "OK");
    mapper_ = domain.domid();
    EXPECT_EQ(Create(Wanted("owner", kPages), &domain), "OK");
    owner_ = domain.domid();
    auto built = Wanted("built", kPages);
    built.set_start_paused(true);
    EXPECT_EQ(Create(built, &domain), "OK");
    built_ = domain.domid();
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }

  uint64_t FrameOf(uint32_t domid, uint64_t pfn) {
    auto request = For<v1::TranslatePfnsRequest>(domid);
    request.add_pfns(pfn);
    v1::TranslatePfnsResponse response;
    EXPECT_EQ(Call(*memory_, &Memory::TranslatePfns, request, &response), "OK");
    return response.frames_size() == 1 ? response.frames(0) : 0;
  }
  std::string Map(const std::vector<std::pair<uint64_t, uint64_t>>& slots,
                  v1::MapForeignFramesResponse* response = nullptr) {
    auto request = For<v1::MapForeignFramesRequest>(mapper_);
    for (const auto& [pfn, mfn] : slots) {
      request.add_slots()->set_pfn(pfn);
      request.mutable_slots()->rbegin()->set_mfn(mfn);
    }
    return Call(*memory_, &Memory::MapForeignFrames, request, response);
  }
  std::string Unmap(const std::vector<uint64_t>& pfns,
                    v1::UnmapForeignFramesResponse* response = nullptr) {
    auto request = For<v1::UnmapForeignFramesRequest>(mapper_);
    request.mutable_pfns()->Assign(pfns.begin(), pfns.end());
    return Call(*memory_, &Memory::UnmapForeignFrames, request, response);
  }
  std::string Get(uint32_t domid, v1::GetDomainResponse* response) {
    return Call(*domains_, &Domains::GetDomain,
                For<v1::GetDomainRequest>(domid), response);
  }

  uint32_t mapper_ = 0;
  uint32_t owner_ = 0;
  uint32_t built_ = 0;
};

TEST_F(ServerForeignApiTest, EverySlotHasItsOwnOutcome) {
  const uint64_t frame = FrameOf(owner_, 500);
  v1::MapForeignFramesResponse mapped;
  ASSERT_EQ(Map({{kHole, frame}, {5, frame}, {kHole + 1, 0}}, &mapped), "OK");
  EXPECT_EQ(mapped.mapped_slots(), 1u);
  EXPECT_EQ(mapped.failed_slots(), 2u);
  ASSERT_EQ(mapped.errors_size(), 2);
  EXPECT_EQ(mapped.errors(0).slot(), 1u);
  EXPECT_EQ(mapped.errors(0).code(), "FAILED_PRECONDITION");
  EXPECT_EQ(mapped.errors(0).reason(), "PFN_NOT_MISSING");
  EXPECT_THAT(mapped.errors(0).message(), HasSubstr("pfn 0x5"));
  EXPECT_EQ(mapped.errors(1).reason(), "FRAME_NOT_FOREIGN");

  auto translate = For<v1::TranslatePfnsRequest>(mapper_);
  translate.add_pfns(kHole);
  v1::TranslatePfnsResponse words;
  ASSERT_EQ(Call(*memory_, &Memory::TranslatePfns, translate, &words), "OK");
  EXPECT_EQ(words.classes(0), v1::P2M_CLASS_FOREIGN);
  EXPECT_EQ(words.frames(0), frame);

  v1::UnmapForeignFramesResponse unmapped;
  ASSERT_EQ(Unmap({5, kHole}, &unmapped), "OK");
  EXPECT_EQ(unmapped.unmapped_slots(), 1u);
  EXPECT_EQ(unmapped.failed_slots(), 1u);
  EXPECT_EQ(unmapped.errors(0).code(), "INVALID_ARGUMENT");
  EXPECT_EQ(unmapped.errors(0).reason(), "PFN_NOT_FOREIGN");
  EXPECT_EQ(unmapped.freed_pages(), 0u);
}

TEST_F(ServerForeignApiTest,
       DestroyedOwnerIsListedAsDyingUntilItsFramesAreFree) {
  ASSERT_EQ(Map({{kHole, FrameOf(owner_, 500)}}), "OK");
  v1::DestroyDomainResponse destroyed;
  ASSERT_EQ(Call(*domains_, &Domains::DestroyDomain,
                 For<v1::DestroyDomainRequest>(owner_), &destroyed),
            "OK");
  EXPECT_EQ(destroyed.freed_pages(), kPages - 1);
  v1::GetDomainResponse got;
  ASSERT_EQ(Get(owner_, &got), "OK");
  EXPECT_EQ(got.domain().state(), v1::DOMAIN_STATE_DYING);
  EXPECT_EQ(got.domain().name(), "");
  EXPECT_EQ(got.domain().memory().current_pages(), 1u);
  EXPECT_EQ(got.domain().memory().foreign_held_pages(), 1u);
  EXPECT_EQ(Call(*domains_, &Domains::DestroyDomain,
                 For<v1::DestroyDomainRequest>(owner_)),
            "FAILED_PRECONDITION DOMAIN_DYING");
  EXPECT_EQ(AuditFindings(), "");
  v1::UnmapForeignFramesResponse unmapped;
  ASSERT_EQ(Unmap({kHole}, &unmapped), "OK");
  EXPECT_EQ(unmapped.freed_pages(), 1u);
  EXPECT_EQ(Get(owner_, &got), "NOT_FOUND DOMAIN_NOT_FOUND");
}

TEST_F(ServerForeignApiTest, MfnsTranslateToPfns) {
  auto request = For<v1::TranslateMfnsRequest>(mapper_);
  request.add_mfns(FrameOf(mapper_, 500));
  request.add_mfns(uint64_t{1} << 40);
  request.add_mfns(FrameOf(owner_, 500));
  v1::TranslateMfnsResponse response;
  ASSERT_EQ(Call(*memory_, &Memory::TranslateMfns, request, &response), "OK");
  const uint64_t none = ~uint64_t{0};
  const uint64_t identity = request.mfns(2);  // past the mapper's pages
  EXPECT_THAT(response.pfns(), ElementsAre(500, uint64_t{1} << 40, identity));
  EXPECT_THAT(response.local_pfns(), ElementsAre(500, none, none));
}

TEST_F(ServerForeignApiTest, CallsThatAreRefusedAsAWhole) {
  EXPECT_EQ(Map({}), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Unmap({}), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Unmap(std::vector<uint64_t>(65537, 1)),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  auto mfns = For<v1::TranslateMfnsRequest>(mapper_);
  EXPECT_EQ(Call(*memory_, &Memory::TranslateMfns, mfns),
            "INVALID_ARGUMENT ARGUMENT_MISSING");
  auto map = For<v1::MapForeignFramesRequest>(built_);
  map.add_slots();
  EXPECT_EQ(Call(*memory_, &Memory::MapForeignFrames, map),
            "FAILED_PRECONDITION DOMAIN_NOT_BOOTED");
  map.mutable_domain()->set_domid(999);
  EXPECT_EQ(Call(*memory_, &Memory::MapForeignFrames, map),
            "NOT_FOUND DOMAIN_NOT_FOUND");
}

TEST_F(ServerForeignApiTest, MostThatCanFailFitsAResponse) {
  const std::vector<std::pair<uint64_t, uint64_t>> slots(65536, {5, 5});
  v1::MapForeignFramesResponse mapped;
  ASSERT_EQ(Map(slots, &mapped), "OK");
  EXPECT_EQ(mapped.failed_slots(), 65536u);
  EXPECT_EQ(mapped.errors_size(), 4096);
}

}  // namespace
}  // namespace simvisor::server
