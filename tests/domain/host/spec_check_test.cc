#include "domain/host/spec_check.h"

#include <string>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

std::vector<PciAddress> Devices(const std::vector<std::string>& texts) {
  std::vector<PciAddress> devices;
  for (const std::string& text : texts) {
    devices.push_back(PciAddress::Parse(text).value());
  }
  return devices;
}

DomainSpec GoodSpec() {
  DomainSpec spec;
  spec.name = "web-1";
  spec.memory = PageCount(1000);
  spec.max_memory = PageCount(1000);
  return spec;
}

TEST(SpecCheckTest, OrdinarySpecsPass) {
  DomainSpec spec = GoodSpec();
  EXPECT_THAT(CheckDomainSpec(spec), IsOk());
  spec.e820_host = true;
  spec.pci_devices =
      Devices({"01:00.0", "01:00.1", "0000:03:1f.*", "0001:01:00.0"});
  EXPECT_THAT(CheckDomainSpec(spec), IsOk());
}

TEST(SpecCheckTest, NamesAreChecked) {
  for (const char* name : {"a", "7up", "two words", "\xc3\xa9t\xc3\xa9"}) {
    EXPECT_THAT(CheckDomainName(name), IsOk()) << name;
  }
  EXPECT_THAT(CheckDomainName(std::string(255, 'a')), IsOk());
  for (const std::string& name :
       {std::string(), std::string(256, 'a'), std::string("42"),
        std::string("a/b"), std::string("tab\t"), std::string("a\0b", 3)}) {
    EXPECT_THAT(CheckDomainName(name),
                IsError(Code::kInvalidArgument, Reason::kNameInvalid,
                        HasSubstr("domain name")));
  }
}

TEST(SpecCheckTest, NamesThatListsWouldShowLikeNoneAreRefused) {
  for (const char* name :
       {"(null)", " (null)", "(null)\xe3\x80\x80", "\xc2\xa0(null)", " ", "   ",
        "\xe2\xa0\x80", "\xc2\xa0", " \xe3\x80\x80",
        "\xe2\x80\x83\xe2\x80\xaf"}) {
    EXPECT_THAT(CheckDomainName(name),
                IsError(Code::kInvalidArgument, Reason::kNameInvalid,
                        HasSubstr("domain name")))
        << '"' << name << '"';
  }
  for (const char* name : {"null", "(Null)", "(null)-2", " a", "\xc2\xa0z"}) {
    EXPECT_THAT(CheckDomainName(name), IsOk()) << name;
  }
}

TEST(SpecCheckTest, Latin1NameIsNamedAsSuch) {
  EXPECT_THAT(CheckDomainName("latin\xef"),
              IsError(Code::kInvalidArgument, Reason::kNameInvalid,
                      HasSubstr("domain name \"latin\\xef\": byte 0xef at "
                                "offset 5 is not UTF-8")));
}

TEST(SpecCheckTest, NamesWithInvisibleCharactersAreRefused) {
  const std::pair<std::string, std::string> kNames[] = {
      {"a\xc2\x9b"
       "b",
       "U+009B"},
      {"\xe2\x80\xae", "U+202E"},
      {"a\xe2\x81\xa6", "U+2066"},
      {"a\xe2\x80\x8b", "U+200B"},
      {"a\xe2\x80\xa8", "U+2028"},
      {"a\xf3\xa0\x81\x81", "U+E0041"},
      {"a\x7f", "U+007F"},
      {"a\xc3", "byte 0xc3 at offset 1"},
      {"\xed\xa0\x80", "byte 0xed at offset 0"},
  };
  for (const auto& [name, what] : kNames) {
    const absl::Status status = CheckDomainName(name);
    EXPECT_THAT(status, IsError(Code::kInvalidArgument, Reason::kNameInvalid,
                                HasSubstr(what)));
    EXPECT_EQ(status.message(), Printable(status.message()));
  }
}

TEST(SpecCheckTest, PciDevicesNeedTheHostsMap) {
  DomainSpec spec = GoodSpec();
  spec.pci_devices = Devices({"01:00.0"});
  EXPECT_THAT(CheckDomainSpec(spec),
              IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                      HasSubstr("e820_host")));
  spec.e820_host = true;
  spec.pci_devices.assign(65, spec.pci_devices[0]);
  EXPECT_THAT(CheckDomainSpec(spec),
              IsError(Code::kInvalidArgument, Reason::kArgumentTooLarge,
                      HasSubstr("65 PCI devices")));
}

TEST(SpecCheckTest, DeviceThatIsNamedTwiceIsRefused) {
  DomainSpec spec = GoodSpec();
  spec.e820_host = true;
  const std::vector<std::string> kTwice[] = {
      {"01:00.0", "01:00.0"},
      {"01:00.0", "02:00.0", "0000:01:00.0"},
      {"01:00.*", "01:00.0"},
      {"01:00.7", "01:00.*"},
      {"ab:1f.*", "AB:1F.*"}};
  for (const auto& devices : kTwice) {
    spec.pci_devices = Devices(devices);
    EXPECT_THAT(CheckDomainSpec(spec),
                IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                        HasSubstr(spec.pci_devices.back().ToString() +
                                  " is named twice")))
        << devices.back();
  }
}

TEST(SpecCheckTest, OversizedNumbersAreRefused) {
  DomainSpec spec = GoodSpec();
  spec.vcpus = 8193;
  EXPECT_THAT(CheckDomainSpec(spec),
              IsError(Code::kInvalidArgument, Reason::kArgumentTooLarge,
                      HasSubstr("8193 vcpus")));
  spec = GoodSpec();
  spec.hotplug_limit_gib = 65537;
  EXPECT_THAT(CheckDomainSpec(spec),
              IsError(Code::kInvalidArgument, Reason::kArgumentTooLarge,
                      HasSubstr("65537 GiB")));
  spec.hotplug_limit_gib = 65;
  EXPECT_THAT(CheckDomainSpec(spec), IsOk());
  spec.arch = Arch::kX86_32Pae;
  EXPECT_THAT(CheckDomainSpec(spec),
              IsError(Code::kInvalidArgument, Reason::kArgumentTooLarge,
                      HasSubstr("65 GiB of memory hotplug limit for "
                                "x86_32_pae: the limit is 64")));
  spec = GoodSpec();
  spec.max_memory = PageCount(uint64_t{1} << 32);
  EXPECT_THAT(CheckDomainSpec(spec),
              IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
                      HasSubstr("4294967295")));
}

TEST(SpecCheckTest, PaeGuestsEndAt64GiB) {
  constexpr uint64_t kMostPages = uint64_t{1} << 24;
  DomainSpec spec = GoodSpec();
  spec.arch = Arch::kX86_32Pae;
  spec.memory = spec.max_memory = PageCount(kMostPages);
  EXPECT_THAT(CheckDomainSpec(spec), IsOk());
  spec.max_memory = PageCount(kMostPages + 1);
  EXPECT_THAT(
      CheckDomainSpec(spec),
      IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
              HasSubstr("maxmem of 65536.0 MiB (16777217 pages): a domain of "
                        "x86_32_pae has at most 65536 MiB (16777216 "
                        "pages)")));
  spec.arch = Arch::kX86_64;
  EXPECT_THAT(CheckDomainSpec(spec), IsOk());
}

TEST(SpecCheckTest, KernelLeavesProcessesOneToThreeTopLevelEntries) {
  DomainSpec spec = GoodSpec();
  for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
    spec.arch = arch;
    for (const int user_pgds : {1, 2, 3}) {
      spec.pae_kernel.user_pgds = user_pgds;
      EXPECT_THAT(CheckDomainSpec(spec), IsOk()) << user_pgds;
    }
    for (const int user_pgds : {-1, 0, 4}) {
      spec.pae_kernel.user_pgds = user_pgds;
      EXPECT_THAT(CheckDomainSpec(spec),
                  IsError(Code::kInvalidArgument, Reason::kArgumentMalformed,
                          HasSubstr("leaves them 1 to 3")));
    }
  }
}

TEST(SpecCheckTest, MapsOfPaeGuestsHaveNoRamBeyond64GiB) {
  constexpr uint64_t kEnd = uint64_t{64} << 30;
  DomainSpec spec = GoodSpec();
  spec.arch = Arch::kX86_32Pae;
  spec.e820 = *E820Map::Create(
      {{0, kEnd, E820Type::kRam}, {kEnd, kEnd, E820Type::kReserved}});
  EXPECT_THAT(CheckGuestMap(spec), IsOk());
  spec.e820 = *E820Map::Create(
      {{0, kEnd / 2, E820Type::kRam}, {kEnd, 4096, E820Type::kRam}});
  EXPECT_THAT(CheckGuestMap(spec),
              IsError(Code::kInvalidArgument, Reason::kE820Malformed,
                      HasSubstr("RAM up to pfn 0x1000001: an x86_32_pae guest "
                                "manages pfns below 0x1000000 (64 GiB)")));
  spec.arch = Arch::kX86_64;
  EXPECT_THAT(CheckGuestMap(spec), IsOk());
}

}  // namespace
}  // namespace simvisor
