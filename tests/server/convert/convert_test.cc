// Requests that server/convert/ refuses, and values that it converts.

#include <limits>
#include <string>
#include <variant>

#include "base/uuid.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/convert/common.h"
#include "server/convert/domain.h"
#include "server/host/convert_host.h"
#include "server/memory/convert_memory.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr char kUuid[] = "01234567-89ab-cdef-0123-456789abcdef";

TEST(ServerConvertTest, DomainByDomidNameAndUuid) {
  v1::DomainRef ref;
  ref.set_domid(32751);
  EXPECT_EQ(std::get<DomainId>(*FromProto(ref)), DomainId(32751));
  ref.set_domid(0);
  EXPECT_EQ(std::get<DomainId>(*FromProto(ref)), kDom0Id);
  ref.set_name("web");
  EXPECT_EQ(std::get<std::string>(*FromProto(ref)), "web");
  ref.set_uuid("01234567-89AB-cdef-0123-456789abcdef");
  EXPECT_EQ(UuidToString(std::get<Uuid>(*FromProto(ref))), kUuid);
}

TEST(ServerConvertTest, DomainThatIsNotNamed) {
  EXPECT_THAT(FromProto(v1::DomainRef()),
              IsError(kInvalid, Reason::kArgumentMissing, HasSubstr("domain")));
  v1::DomainRef ref;
  ref.set_name("");
  EXPECT_THAT(FromProto(ref),
              IsError(kInvalid, Reason::kArgumentMissing, HasSubstr("domain")));
}

TEST(ServerConvertTest, DomidThatNoDomainCanHave) {
  v1::DomainRef ref;
  for (uint32_t domid : {32752u, 65536u, ~0u}) {
    ref.set_domid(domid);
    EXPECT_THAT(FromProto(ref),
                IsError(absl::StatusCode::kNotFound, Reason::kDomainNotFound,
                        HasSubstr(std::to_string(domid))));
  }
}

TEST(ServerConvertTest, TextThatIsNotAUuid) {
  for (const char* text : {"", "0123456789abcdef0123456789abcdef",
                           "01234567-89ab-cdef-0123-456789abcdeg",
                           "01234567-89ab-cdef-0123-456789abcdef0",
                           "{1234567-89ab-cdef-0123-456789abcdef",
                           "01234567089ab-cdef-0123-456789abcde"}) {
    EXPECT_THAT(ParseUuid("spec.uuid", text),
                IsError(kInvalid, Reason::kUuidInvalid, HasSubstr("spec.uuid")))
        << text;
  }
}

v1::DomainSpec GoodSpec() {
  v1::DomainSpec spec;
  spec.set_name("web");
  spec.set_memory_pages(1000);
  return spec;
}

TEST(ServerConvertTest, SpecWithDefaults) {
  const auto spec = FromProto(GoodSpec());
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->name, "web");
  EXPECT_EQ(spec->uuid, Uuid{});
  EXPECT_EQ(spec->arch, Arch::kX86_64);
  EXPECT_EQ(spec->memory, PageCount(1000));
  EXPECT_EQ(spec->max_memory, PageCount(0));
  EXPECT_EQ(spec->vcpus, 1u);
  EXPECT_FALSE(spec->e820_host);
  EXPECT_TRUE(spec->e820.entries().empty());
  EXPECT_EQ(spec->balloon_max_retry, 4u);
}

TEST(ServerConvertTest, SpecWithEverything) {
  v1::DomainSpec spec = GoodSpec();
  spec.set_uuid(kUuid);
  spec.set_max_memory_pages(2000);
  spec.set_vcpus(8192);
  spec.set_e820_host(true);
  spec.set_memory_hotplug_limit_gib(65536);
  spec.set_balloon_max_retry(0);
  spec.add_pci_devices("0000:0A:1f.7");
  spec.add_pci_devices("0a:00.0");
  const auto got = FromProto(spec);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(UuidToString(got->uuid), kUuid);
  EXPECT_EQ(got->max_memory, PageCount(2000));
  EXPECT_EQ(got->vcpus, 8192u);
  EXPECT_TRUE(got->e820_host);
  EXPECT_EQ(got->hotplug_limit_gib, 65536u);
  EXPECT_EQ(got->balloon_max_retry, 0u);
  ASSERT_EQ(got->pci_devices.size(), 2u);
  EXPECT_EQ(got->pci_devices[0].ToString(), "0000:0a:1f.7");
  EXPECT_EQ(got->pci_devices[1].ToString(), "0000:0a:00.0");
}

TEST(ServerConvertTest, GuestAbisThereAndBack) {
  for (const v1::Arch arch : {v1::ARCH_X86_64, v1::ARCH_X86_32_PAE}) {
    v1::DomainSpec spec = GoodSpec();
    spec.set_arch(arch);
    const auto got = FromProto(spec);
    ASSERT_THAT(got, IsOk());
    EXPECT_EQ(ToProto(got->arch), arch);
  }
}

TEST(ServerConvertTest, SpecsThatAreRefused) {
  v1::DomainSpec spec = GoodSpec();
  spec.set_uuid("00000000-0000-0000-0000-000000000000");
  EXPECT_THAT(FromProto(spec),
              IsError(kInvalid, Reason::kUuidInvalid, HasSubstr("spec.uuid")));

  spec = GoodSpec();
  spec.set_arch(static_cast<v1::Arch>(7));
  EXPECT_THAT(FromProto(spec),
              IsError(kInvalid, Reason::kArgumentMalformed,
                      HasSubstr("spec.arch: unknown value 7")));

  spec = GoodSpec();
  spec.set_e820_host(false);
  EXPECT_THAT(FromProto(spec), IsError(kInvalid, Reason::kArgumentMalformed,
                                       HasSubstr("spec.e820_host")));
}

TEST(ServerConvertTest, TextThatIsNotAPciDeviceIsRefused) {
  for (const char* device : {"", "1:0.0", "01:00", "01:20.0", "01:00.8",
                             "0000:01:00.0.0", "00000:01:00.0", "01:00.0x",
                             "01:00.**", "01:*.0", "01:00.0@3", "nonsense"}) {
    v1::DomainSpec spec = GoodSpec();
    spec.add_pci_devices(device);
    EXPECT_THAT(FromProto(spec), IsError(kInvalid, Reason::kArgumentMalformed,
                                         HasSubstr("[DDDD:]BB:DD.F")))
        << device;
  }
}

TEST(ServerConvertTest, MemoryMapThereAndBack) {
  v1::E820Map map;
  for (int type = 1; type <= 5; ++type) {
    auto* const entry = map.add_entries();
    entry->set_start_bytes(0x10000 * type);
    entry->set_size_bytes(0x1800 + type);
    entry->set_type(static_cast<v1::E820Type>(type));
  }
  const auto read = FromProto("e820", map);
  ASSERT_THAT(read, IsOk());
  v1::E820Map written;
  ToProto(*read, &written);
  EXPECT_EQ(written.SerializeAsString(), map.SerializeAsString());
}

TEST(ServerConvertTest, MemoryMapsThatAreRefused) {
  v1::E820Map map;
  EXPECT_THAT(FromProto("spec.e820", map),
              IsError(kInvalid, Reason::kE820Malformed, testing::_));
  auto* const entry = map.add_entries();
  entry->set_size_bytes(0x1000);
  for (int type : {0, 6, -1}) {
    entry->set_type(static_cast<v1::E820Type>(type));
    EXPECT_THAT(FromProto("spec.e820", map),
                IsError(kInvalid, Reason::kArgumentMalformed,
                        HasSubstr("spec.e820.entries[0].type")));
  }
  entry->set_type(v1::E820_TYPE_RAM);
  entry->set_start_bytes(std::numeric_limits<uint64_t>::max());
  EXPECT_THAT(FromProto("spec.e820", map),
              IsError(kInvalid, Reason::kE820Malformed, testing::_));
}

TEST(ServerConvertTest, ExtentsThatAreRefused) {
  v1::ReadFramesRequest request;
  EXPECT_THAT(
      FromProto(request.extents()),
      IsError(kInvalid, Reason::kArgumentMissing, HasSubstr("extents")));
  auto* const extent = request.add_extents();
  extent->set_first_mfn(1);
  EXPECT_THAT(
      FromProto(request.extents()),
      IsError(kInvalid, Reason::kRangeInvalid, HasSubstr("extents[0].count")));
  extent->set_count(std::numeric_limits<uint64_t>::max());
  EXPECT_THAT(FromProto(request.extents()),
              IsError(absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
                      HasSubstr("extents[0]")));
  extent->set_count(1);
  for (int i = 1; i < 65536; ++i) *request.add_extents() = *extent;
  EXPECT_THAT(FromProto(request.extents()), IsOk());
  *request.add_extents() = *extent;
  EXPECT_THAT(FromProto(request.extents()),
              IsError(kInvalid, Reason::kArgumentTooLarge, HasSubstr("65537")));
}

TEST(ServerConvertTest, EnumsOfMemoryRequests) {
  EXPECT_EQ(*FromProto("p", v1::RAM_POLICY_UNSPECIFIED), RamPolicy::kRefuse);
  EXPECT_EQ(*FromProto("p", v1::RAM_POLICY_KEEP), RamPolicy::kKeep);
  EXPECT_EQ(*FromProto("v", v1::P2M_VIEW_UNSPECIFIED), P2mView::kResolved);
  EXPECT_EQ(*FromProto("v", v1::P2M_VIEW_RAW), P2mView::kRaw);
  EXPECT_EQ(*FromProto("m", v1::RUN_MERGE_UNSPECIFIED), RunMerge::kByFrame);
  EXPECT_EQ(*FromProto("m", v1::RUN_MERGE_BY_CLASS), RunMerge::kByClass);
  EXPECT_THAT(FromProto("ram_policy", static_cast<v1::RamPolicy>(4)),
              IsError(kInvalid, Reason::kArgumentMalformed,
                      HasSubstr("ram_policy: unknown value 4")));
  EXPECT_THAT(FromProto("view", static_cast<v1::P2mView>(-3)),
              IsError(kInvalid, Reason::kArgumentMalformed,
                      HasSubstr("view: unknown value -3")));
  EXPECT_THAT(FromProto("merge", static_cast<v1::RunMerge>(99)),
              IsError(kInvalid, Reason::kArgumentMalformed,
                      HasSubstr("merge: unknown value 99")));
}

TEST(ServerConvertTest, ClassesThatCanBeSet) {
  EXPECT_EQ(*FromProto("c", v1::P2M_CLASS_RAM), P2mClass::kRam);
  EXPECT_EQ(*FromProto("c", v1::P2M_CLASS_IDENTITY), P2mClass::kIdentity);
  EXPECT_EQ(*FromProto("c", v1::P2M_CLASS_MISSING), P2mClass::kMissing);
  EXPECT_THAT(
      FromProto("p2m_class", v1::P2M_CLASS_UNSPECIFIED),
      IsError(kInvalid, Reason::kArgumentMissing, HasSubstr("p2m_class")));
  EXPECT_THAT(
      FromProto("p2m_class", v1::P2M_CLASS_FOREIGN),
      IsError(kInvalid, Reason::kArgumentMalformed, HasSubstr("p2m_class")));
}

TEST(ServerConvertTest, RunOfEachClass) {
  v1::P2mRun run;
  ToProto(P2mRun{{Pfn(1), PageCount(2)}, P2mWord::Ram(Mfn(0x77))}, &run);
  EXPECT_EQ(run.first_pfn(), 1u);
  EXPECT_EQ(run.count(), 2u);
  EXPECT_EQ(run.p2m_class(), v1::P2M_CLASS_RAM);
  EXPECT_EQ(run.first_frame(), 0x77u);
  ToProto(P2mRun{{Pfn(1), PageCount(2)}, P2mWord::Identity(Pfn(5))}, &run);
  EXPECT_EQ(run.p2m_class(), v1::P2M_CLASS_IDENTITY);
  EXPECT_EQ(run.first_frame(), 5u);
  ToProto(P2mRun{{Pfn(1), PageCount(2)}, P2mWord::Foreign(Mfn(6))}, &run);
  EXPECT_EQ(run.p2m_class(), v1::P2M_CLASS_FOREIGN);
  EXPECT_EQ(run.first_frame(), 6u);
  ToProto(P2mRun{{Pfn(1), PageCount(2)}, P2mWord::Invalid()}, &run);
  EXPECT_EQ(run.p2m_class(), v1::P2M_CLASS_MISSING);
  EXPECT_EQ(run.first_frame(), 0u);
}

TEST(ServerConvertTest, FrameRunsHaveOwnerAndPfnOnlyIfSet) {
  v1::FrameRun owned;
  ToProto(FrameRun{.frames = {Mfn(1), PageCount(2)},
                   .state = FrameState::kOwned,
                   .owner = kDom0Id,
                   .first_pfn = Pfn(0)},
          &owned);
  EXPECT_TRUE(owned.has_domid());
  EXPECT_TRUE(owned.has_first_pfn());
  v1::FrameRun unmapped;
  ToProto(FrameRun{.frames = {Mfn(1), PageCount(2)},
                   .state = FrameState::kOwned,
                   .owner = DomainId(7)},
          &unmapped);
  EXPECT_EQ(unmapped.domid(), 7u);
  EXPECT_FALSE(unmapped.has_first_pfn());
  v1::FrameRun free;
  FrameRun free_run;
  free_run.frames = {Mfn(1), PageCount(2)};
  free_run.state = FrameState::kFree;
  ToProto(free_run, &free);
  EXPECT_EQ(free.state(), v1::FRAME_STATE_FREE);
  EXPECT_FALSE(free.has_domid());
  EXPECT_FALSE(free.has_first_pfn());
}

TEST(ServerConvertTest, AuditSendsABoundedNumberOfFindings) {
  AuditReport report;
  report.findings.assign(2000, std::string(5000, 'f'));
  v1::AuditHostResponse response;
  ToProto(report, &response);
  EXPECT_FALSE(response.clean());
  EXPECT_EQ(response.findings_size(), 1000);
  EXPECT_LT(response.ByteSizeLong(), size_t{4} << 20);
}

}  // namespace
}  // namespace simvisor::server
