// Images made by hand, valid and broken ones.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/image_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

std::string ReadSample(const std::string& name) {
  std::ifstream file("tests/testdata/streams/" + name, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

DomainSpec SampleSpec() {
  DomainSpec spec = MakeSpec("sample", 0);
  spec.vcpus = 2;
  return spec;
}

TEST(ImageSamplesTest, ValidOnesRestoreWithAllTheirPages) {
  for (const std::string name :
       {"valid-pv64.libxc", "valid-pv32.libxc", "valid-pv64-v2.libxc",
        "valid-pv64-live.libxc", "hole-trailing-garbage.libxc"}) {
    SCOPED_TRACE(name);
    const auto host = MakeHost(20000);
    const auto restored = RestoreAll(*host, ReadSample(name), SampleSpec());
    ASSERT_THAT(restored, IsOk());
    const DomainInfo info = (*restored)->Info();
    EXPECT_EQ(info.state, DomainState::kBuilt);
    EXPECT_EQ(info.arch,
              name == "valid-pv32.libxc" ? Arch::kX86_32Pae : Arch::kX86_64);
    EXPECT_GE(info.memory.current.value(), 56u);
    EXPECT_LE(info.memory.current.value(), 64u);
    EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
    EXPECT_THAT((*restored)->Unpause({"unpause"}),
                IsError(Code::kFailedPrecondition, Reason::kGuestKernelUnknown,
                        HasSubstr("not simulated")));
    ASSERT_THAT(host->DestroyDomain((*restored)->id()), IsOk());
    ExpectClean(*host, kDom0Pages);
  }
}

TEST(ImageSamplesTest, BrokenOnesAreRefusedAndLeaveNothing) {
  struct Case {
    std::string name;
    Reason reason;
    std::string message;
  };
  for (const Case& broken : std::vector<Case>{
           {"bad-marker.libxc", Reason::kImageMalformed, "byte 0"},
           {"bad-pagedata-count0.libxc", Reason::kImageMalformed,
            "names no pfn"},
           {"bad-pagetype5.libxc", Reason::kImageMalformed, "of type 5"},
           {"bad-rectype-0x13.libxc", Reason::kImageMalformed, "0x13"},
           {"bad-truncated-mid-page.libxc", Reason::kImageTruncated,
            "119660 bytes"},
           {"hole-no-static-end.libxc", Reason::kImageMalformed,
            "STATIC_DATA_END"},
           {"hole-p2m-wrong-count.libxc", Reason::kImageMalformed, "leaves"},
           {"hole-pfn-beyond-max.libxc", Reason::kImageMalformed,
            "the pfns end at 0x40"},
           {"hole-vcpu-basic-16-bytes.libxc", Reason::kImageMalformed,
            "VCPU_BASIC"}}) {
    SCOPED_TRACE(broken.name);
    const auto host = MakeHost(20000);
    EXPECT_THAT(RestoreAll(*host, ReadSample(broken.name), SampleSpec()),
                IsError(Code::kInvalidArgument, broken.reason,
                        HasSubstr(broken.message)));
    ExpectClean(*host, kDom0Pages);
  }
}

TEST(ImageSamplesTest, EverySampleIsNamedAbove) {
  int samples = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("tests/testdata/streams")) {
    ++samples;
  }
  EXPECT_EQ(samples, 14);
}

}  // namespace
}  // namespace simvisor
