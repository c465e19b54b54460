// Calls of AddressSpaceService through a real channel.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simvisor/v1/address_space_service.grpc.pb.h"
#include "tests/support/server_fixture.h"

namespace simvisor::server {
namespace {

using Hosts = v1::HostService::Stub;
using Memory = v1::MemoryService::Stub;
using Spaces = v1::AddressSpaceService::Stub;

constexpr uint64_t kSpacePages = 32768;  // 128 MiB
constexpr uint64_t kMidSpan = 1 << 20;

class ServerAddressSpaceApiTest : public ServerTest {
 protected:
  ServerAddressSpaceApiTest()
      : spaces_(v1::AddressSpaceService::NewStub(channel_)) {
    EXPECT_EQ(Create(Pae("unshared"), &domain_), "OK");
  }

  void TearDown() override { EXPECT_EQ(AuditFindings(), ""); }

  // A PAE domain with two mids of identity above its memory.
  static v1::CreateDomainRequest Pae(const std::string& name) {
    auto request = Wanted(name, kSpacePages);
    request.mutable_spec()->set_arch(v1::ARCH_X86_32_PAE);
    request.mutable_spec()->set_memory_hotplug_limit_gib(12);
    return request;
  }

  template <typename Request>
  Request For(uint32_t domid) const {
    Request request;
    request.mutable_domain()->set_domid(domid);
    return request;
  }
  template <typename Request>
  Request ForDomain() const {
    return For<Request>(domain_.domid());
  }

  std::string CreateSpaces(uint32_t count,
                           v1::CreateAddressSpacesResponse* made = nullptr) {
    auto request = ForDomain<v1::CreateAddressSpacesRequest>();
    request.set_count(count);
    return Call(*spaces_, &Spaces::CreateAddressSpaces, request, made);
  }
  std::string DestroySpaces(const std::vector<uint64_t>& ids,
                            v1::DestroyAddressSpacesResponse* left = nullptr) {
    auto request = ForDomain<v1::DestroyAddressSpacesRequest>();
    request.mutable_ids()->Assign(ids.begin(), ids.end());
    return Call(*spaces_, &Spaces::DestroyAddressSpaces, request, left);
  }
  std::string Translate(uint64_t id, const std::vector<uint64_t>& pfns,
                        v1::TranslateInAddressSpaceResponse* seen = nullptr) {
    auto request = ForDomain<v1::TranslateInAddressSpaceRequest>();
    request.set_id(id);
    request.mutable_pfns()->Assign(pfns.begin(), pfns.end());
    return Call(*spaces_, &Spaces::TranslateInAddressSpace, request, seen);
  }
  std::vector<v1::ListAddressSpacesResponse> List(uint32_t domid) {
    std::vector<v1::ListAddressSpacesResponse> responses;
    EXPECT_EQ(CallStream(*spaces_, &Spaces::ListAddressSpaces,
                         For<v1::ListAddressSpacesRequest>(domid), &responses),
              "OK");
    return responses;
  }
  std::string FrameAt(uint64_t mfn) {
    v1::ReadFramesRequest request;
    request.add_extents()->set_first_mfn(mfn);
    request.mutable_extents(0)->set_count(1);
    std::vector<v1::ReadFramesResponse> responses;
    EXPECT_EQ(CallStream(*hosts_, &Hosts::ReadFrames, request, &responses),
              "OK");
    return responses.at(0).frames(0).content();
  }

  const std::unique_ptr<Spaces> spaces_;
  v1::Domain domain_;
};

TEST_F(ServerAddressSpaceApiTest, ProcessesComeAndGo) {
  v1::CreateAddressSpacesResponse made;
  ASSERT_EQ(CreateSpaces(1000, &made), "OK");
  EXPECT_EQ(made.first_id(), 1u);
  EXPECT_EQ(made.count(), 1000u);
  EXPECT_EQ(made.totals().pgd_bytes(), 4096u);
  EXPECT_EQ(made.totals().pgd_frames(), 1000u);
  EXPECT_EQ(made.totals().pmd_frames(), 4000u);
  EXPECT_EQ(made.totals().kernel_pmd_copies(), 1000u);
  EXPECT_EQ(made.totals().on_pgd_list(), 1000u);
  v1::GetDomainResponse got;
  ASSERT_EQ(Call(*domains_, &v1::DomainService::Stub::GetDomain,
                 ForDomain<v1::GetDomainRequest>(), &got),
            "OK");
  EXPECT_EQ(got.domain().memory().address_space_pages(), 5000u);

  v1::DestroyAddressSpacesResponse left;
  ASSERT_EQ(DestroySpaces({1000, 1}, &left), "OK");
  EXPECT_EQ(left.totals().address_spaces(), 998u);
  const auto chunks = List(domain_.domid());
  ASSERT_EQ(chunks.size(), 1u);
  ASSERT_EQ(chunks[0].address_spaces_size(), 998);
  EXPECT_EQ(chunks[0].address_spaces(0).id(), 2u);
  EXPECT_EQ(chunks[0].totals().address_spaces(), 998u);
}

TEST_F(ServerAddressSpaceApiTest, KernelsAreAsTheSpecSays) {
  EXPECT_EQ(domain_.pae_kernel().split(), v1::KERNEL_SPLIT_3G_1G);
  EXPECT_FALSE(domain_.pae_kernel().shared_kernel_pmd());
  auto request = Pae("shared");
  request.mutable_spec()->mutable_pae_kernel()->set_shared_kernel_pmd(true);
  request.mutable_spec()->mutable_pae_kernel()->set_split(
      v1::KERNEL_SPLIT_2G_2G);
  ASSERT_EQ(Create(request, &domain_), "OK");
  EXPECT_EQ(domain_.pae_kernel().split(), v1::KERNEL_SPLIT_2G_2G);
  EXPECT_TRUE(domain_.pae_kernel().shared_kernel_pmd());

  v1::CreateAddressSpacesResponse made;
  ASSERT_EQ(CreateSpaces(129, &made), "OK");
  EXPECT_EQ(made.totals().pgd_bytes(), 32u);
  EXPECT_EQ(made.totals().pgd_frames(), 2u);
  EXPECT_EQ(made.totals().pmd_frames(), 258u);
  EXPECT_EQ(made.totals().on_pgd_list(), 0u);
  const auto chunks = List(domain_.domid());
  ASSERT_EQ(chunks.size(), 1u);
  const auto& second = chunks[0].address_spaces(1);
  EXPECT_EQ(second.pgd_offset_bytes(), 32u);
  ASSERT_EQ(second.pmd_mfns_size(), 4);
  EXPECT_NE(second.pmd_mfns(1), 0u);
  EXPECT_EQ(second.pmd_mfns(2), 0u);
  EXPECT_FALSE(second.on_pgd_list());
}

TEST_F(ServerAddressSpaceApiTest, OnlyPaeGuestsHaveSuchAKernel) {
  auto wide = Wanted("wide", kSpacePages);
  wide.mutable_spec()->mutable_pae_kernel();
  EXPECT_EQ(Create(wide), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  auto odd = Pae("odd");
  odd.mutable_spec()->mutable_pae_kernel()->set_split(
      static_cast<v1::KernelSplit>(9));
  EXPECT_EQ(Create(odd), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
}

TEST_F(ServerAddressSpaceApiTest, AListIsStreamedInParts) {
  ASSERT_EQ(CreateSpaces(5000), "OK");
  const auto chunks = List(domain_.domid());
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].address_spaces_size(), 4096);
  EXPECT_EQ(chunks[1].address_spaces_size(), 904);
  EXPECT_EQ(chunks[1].address_spaces(0).id(), 4097u);
  EXPECT_EQ(chunks[1].totals().address_spaces(), 5000u);
}

TEST_F(ServerAddressSpaceApiTest, AGuestWithoutProcessesListsItsTotals) {
  const auto chunks = List(domain_.domid());
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].address_spaces_size(), 0);
  EXPECT_EQ(chunks[0].totals().pgd_bytes(), 4096u);
}

TEST_F(ServerAddressSpaceApiTest, SplitsReachEveryProcess) {
  ASSERT_EQ(CreateSpaces(3), "OK");
  const uint64_t pfn = kMidSpan + 7;
  v1::TranslateInAddressSpaceResponse before;
  ASSERT_EQ(Translate(2, {pfn, 0}, &before), "OK");
  EXPECT_EQ(before.classes(0), v1::P2M_CLASS_IDENTITY);
  EXPECT_EQ(before.frames(0), pfn);
  EXPECT_EQ(before.classes(1), v1::P2M_CLASS_RAM);

  auto set = ForDomain<v1::SetP2mRangeRequest>();
  set.set_first_pfn(pfn);
  set.set_count(1);
  set.set_p2m_class(v1::P2M_CLASS_MISSING);
  ASSERT_EQ(Call(*memory_, &Memory::SetP2mRange, set), "OK");
  v1::TranslateInAddressSpaceResponse after;
  ASSERT_EQ(Translate(2, {pfn, pfn + 1}, &after), "OK");
  EXPECT_EQ(after.classes(0), v1::P2M_CLASS_MISSING);
  EXPECT_EQ(after.frames(0), ~uint64_t{0});
  EXPECT_EQ(after.classes(1), v1::P2M_CLASS_IDENTITY);

  v1::SyncAddressSpacesResponse synced;
  ASSERT_EQ(Call(*spaces_, &Spaces::SyncAddressSpaces,
                 ForDomain<v1::SyncAddressSpacesRequest>(), &synced),
            "OK");
  EXPECT_EQ(synced.tables_walked(), 3u);
  EXPECT_EQ(synced.entries_rewritten(), 0u);
  EXPECT_EQ(List(domain_.domid())[0].totals().entries_rewritten(),
            2u * (3 + 1));
}

TEST_F(ServerAddressSpaceApiTest, TablesAreReadByMfn) {
  ASSERT_EQ(CreateSpaces(1), "OK");
  const auto space = List(domain_.domid())[0].address_spaces(0);
  const std::string table = FrameAt(space.pgd_mfn());
  ASSERT_EQ(table.size(), 4096u);
  uint64_t entry = 0;
  for (int i = 7; i >= 0; --i) {
    entry = entry << 8 | static_cast<uint8_t>(table[3 * 8 + i]);
  }
  EXPECT_EQ(entry, (space.pmd_mfns(3) << 12) | 1);
}

TEST_F(ServerAddressSpaceApiTest, CallsThatAreRefused) {
  EXPECT_EQ(CreateSpaces(0), "INVALID_ARGUMENT RANGE_INVALID");
  EXPECT_EQ(CreateSpaces(65537), "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(CreateSpaces(65536), "RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED");
  EXPECT_EQ(DestroySpaces({}), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(DestroySpaces(std::vector<uint64_t>(65537, 1)),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(DestroySpaces({1}), "NOT_FOUND ADDRESS_SPACE_NOT_FOUND");
  ASSERT_EQ(CreateSpaces(1), "OK");
  EXPECT_EQ(DestroySpaces({1, 1}), "INVALID_ARGUMENT ARGUMENT_MALFORMED");
  EXPECT_EQ(Translate(1, {}), "INVALID_ARGUMENT ARGUMENT_MISSING");
  EXPECT_EQ(Translate(1, std::vector<uint64_t>(65537, 0)),
            "INVALID_ARGUMENT ARGUMENT_TOO_LARGE");
  EXPECT_EQ(Translate(2, {0}), "NOT_FOUND ADDRESS_SPACE_NOT_FOUND");
  EXPECT_EQ(Translate(1, {3 * kMidSpan}), "OUT_OF_RANGE PFN_OUT_OF_RANGE");
}

TEST_F(ServerAddressSpaceApiTest, GuestsThatHaveNoProcesses) {
  const auto list = [&](uint32_t domid) {
    return CallStream(*spaces_, &Spaces::ListAddressSpaces,
                      For<v1::ListAddressSpacesRequest>(domid));
  };
  EXPECT_EQ(list(0), "FAILED_PRECONDITION ARCH_NOT_PAE");
  EXPECT_EQ(list(77), "NOT_FOUND DOMAIN_NOT_FOUND");
  auto built = Pae("built");
  built.set_start_paused(true);
  ASSERT_EQ(Create(built, &domain_), "OK");
  EXPECT_EQ(list(domain_.domid()), "FAILED_PRECONDITION DOMAIN_NOT_BOOTED");
  EXPECT_EQ(CreateSpaces(1), "FAILED_PRECONDITION DOMAIN_NOT_BOOTED");
}

}  // namespace
}  // namespace simvisor::server
