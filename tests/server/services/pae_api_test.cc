// 32-bit PAE domains through the API, on a machine with frames beyond their
// reach.

#include <cstdint>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Domains = v1::DomainService::Stub;
using Memory = v1::MemoryService::Stub;

constexpr uint64_t kPaePages = 131072;
constexpr uint64_t kMostPages = uint64_t{1} << 24;

class ServerPaeApiTest : public ServerTest {
 protected:
  ServerPaeApiTest() : ServerTest(Placement::kLowest, /*memory_gib=*/200) {}
  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }

  static v1::CreateDomainRequest WantedPae(const std::string& name,
                                           uint64_t pages) {
    v1::CreateDomainRequest request = Wanted(name, pages);
    request.mutable_spec()->set_arch(v1::ARCH_X86_32_PAE);
    return request;
  }
};

TEST_F(ServerPaeApiTest, AbiIsShownAndShapesTheList) {
  v1::Domain made;
  ASSERT_EQ(Create(WantedPae("old", kPaePages), &made), "OK");
  EXPECT_EQ(made.arch(), v1::ARCH_X86_32_PAE);
  EXPECT_EQ(made.state(), v1::DOMAIN_STATE_RUNNING);

  v1::GetP2mSummaryRequest request;
  request.mutable_domain()->set_name("old");
  v1::GetP2mSummaryResponse got;
  ASSERT_EQ(Call(*memory_, &Memory::GetP2mSummary, request, &got), "OK");
  EXPECT_EQ(got.summary().p2m_size(), 1048576u);
  EXPECT_EQ(got.summary().area_bytes(), 4u << 20);
  EXPECT_EQ(got.summary().private_leaves(), 128u);
  EXPECT_EQ(got.summary().pte_frames(), 2u);

  v1::GetMfnListListRequest root;
  root.mutable_domain()->set_name("old");
  v1::GetMfnListListResponse tools;
  ASSERT_EQ(Call(*memory_, &Memory::GetMfnListList, root, &tools), "OK");
  EXPECT_EQ(tools.word_bytes(), 4u);
  EXPECT_EQ(tools.words_per_page(), 1024u);
}

TEST_F(ServerPaeApiTest, SizesBeyond64GiBAreRefused) {
  EXPECT_EQ(Create(WantedPae("old", kMostPages + 1)),
            "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
  auto request = WantedPae("old", kPaePages);
  request.mutable_spec()->set_max_memory_pages(kMostPages + 1);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
  request = WantedPae("old", kPaePages);
  request.mutable_spec()->set_memory_hotplug_limit_gib(65);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  request = WantedPae("old", kPaePages);
  auto* const ram = request.mutable_spec()->mutable_e820()->add_entries();
  ram->set_size_bytes((kMostPages + 1) * kPageSize);
  ram->set_type(v1::E820_TYPE_RAM);
  EXPECT_EQ(Create(request), "INVALID_ARGUMENT E820_MALFORMED");
  ram->set_size_bytes(kMostPages * kPageSize);
  EXPECT_EQ(Create(request), "OK");

  v1::SetMaxMemoryRequest most;
  most.mutable_domain()->set_name("old");
  most.set_max_pages(kMostPages + 1);
  EXPECT_EQ(Call(*memory_, &Memory::SetMaxMemory, most),
            "INVALID_ARGUMENT MEMORY_SIZE_INVALID");
}

TEST_F(ServerPaeApiTest, FrameNumbersOf2To30AndAboveAreRefused) {
  auto request = WantedPae("old", kPaePages);
  request.mutable_spec()->set_max_memory_pages(kPaePages + 1000);
  ASSERT_EQ(Create(request), "OK");
  v1::SetP2mRangeRequest set;
  set.mutable_domain()->set_name("old");
  set.set_first_pfn(kPaePages);
  set.set_count(1);
  set.set_p2m_class(v1::P2M_CLASS_RAM);
  set.set_first_mfn(uint64_t{1} << 30);
  EXPECT_EQ(Call(*memory_, &Memory::SetP2mRange, set),
            "OUT_OF_RANGE MFN_NOT_ADDRESSABLE");
}

TEST_F(ServerPaeApiTest, HighFramesServeOnly64BitGuests) {
  // Leaves less than kPaePages of the frames below 128 GiB.
  ASSERT_EQ(Create(Wanted("hog", 127 * kPagesPerGiB + kPaePages)), "OK");
  EXPECT_EQ(Create(WantedPae("old", kPaePages)),
            "RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED");
  EXPECT_EQ(Create(Wanted("new", kPaePages)), "OK");
  v1::DestroyDomainRequest destroy;
  destroy.mutable_domain()->set_name("hog");
  ASSERT_EQ(Call(*domains_, &Domains::DestroyDomain, destroy), "OK");
  EXPECT_EQ(Create(WantedPae("old", kPaePages)), "OK");
}

}  // namespace
}  // namespace simvisor::server
