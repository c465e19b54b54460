// A PCI device belongs to one domain at a time, however it is requested.

#include <memory>
#include <string>
#include <vector>

#include "domain/host/host.h"
#include "domain/host/incoming_domain.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

DomainSpec SpecWith(absl::string_view name,
                    const std::vector<std::string>& devices) {
  DomainSpec spec = MakeSpec(name, 2000);
  spec.e820_host = true;
  for (const std::string& device : devices) {
    spec.pci_devices.push_back(PciAddress::Parse(device).value());
  }
  return spec;
}

class HostPciTest : public testing::Test {
 protected:
  void ExpectInUse(const std::vector<std::string>& devices,
                   const std::string& what) {
    EXPECT_THAT(
        host_->CreateDomain(SpecWith("other", devices), false, NeverStop),
        IsError(Code::kFailedPrecondition, Reason::kPciDeviceInUse,
                HasSubstr(what)));
  }

  std::unique_ptr<Host> host_ = MakeHost(20000);
};

TEST_F(HostPciTest, SecondDomainIsRefusedAndToldTheOwner) {
  const auto web = MustCreate(*host_, SpecWith("web", {"01:00.0", "02:00.1"}));
  EXPECT_EQ(web->id(), DomainId(1));
  ExpectInUse({"03:00.0", "0000:02:00.1"},
              "create of domain \"other\": PCI device 0000:02:00.1: web (1) "
              "has it");
  ExpectInUse({"01:00.*"}, "PCI device 0000:01:00.*: web (1) has it");
  // The refused domains left nothing behind: neither name nor device.
  const auto other = MustCreate(
      *host_, SpecWith("other", {"03:00.0", "01:00.1", "0001:01:00.0"}));
  EXPECT_EQ(other->id(), DomainId(2));
  ExpectClean(*host_, kDom0Pages + 4000);
}

TEST_F(HostPciTest, AllFunctionsOfADeviceAreEachOfThem) {
  MustCreate(*host_, SpecWith("web", {"01:00.*"}));
  for (const char* device : {"01:00.0", "01:00.7", "01:00.*"}) {
    ExpectInUse({device}, "(1) has it");
  }
  MustCreate(*host_, SpecWith("other", {"01:01.*"}));
}

TEST_F(HostPciTest, DestroyedDomainGivesItsDevicesBack) {
  MustCreate(*host_, SpecWith("web", {"01:00.0", "02:00.*"}));
  ASSERT_THAT(host_->DestroyDomain("web"), IsOk());
  MustCreate(*host_, SpecWith("next", {"01:00.*", "02:00.3"}));
}

TEST_F(HostPciTest, DyingDomainHasNoDevices) {
  const auto owner = MustCreate(*host_, SpecWith("owner", {"01:00.0"}));
  const auto mapper = MustCreate(*host_, MakeSpec("mapper", 2000, 2100));
  const Mfn mfn(WordOf(*owner, 700).Number());
  ForeignReport report;
  ASSERT_THAT(
      mapper->p2m().MapForeign(
          {"map foreign"}, std::vector<ForeignSlot>{{Pfn(2050), mfn}}, report),
      IsOk());
  ASSERT_THAT(host_->DestroyDomain("owner"), IsOk());
  ASSERT_EQ(owner->Info().state, DomainState::kDying);
  const auto next = MustCreate(*host_, SpecWith("next", {"01:00.0"}));
  // Its frames go later, and the device stays with the new one.
  ForeignReport unmapped;
  ASSERT_THAT(
      host_->UnmapForeign({"unmap foreign"}, "mapper", {2050}, unmapped),
      IsOk());
  EXPECT_THAT(host_->Find(owner->id()),
              IsError(Code::kNotFound, Reason::kDomainNotFound, HasSubstr("")));
  ExpectInUse({"01:00.0"}, "next (3) has it");
}

TEST_F(HostPciTest, DomainThatCannotBeBuiltGivesItsDevicesBack) {
  DomainSpec large = SpecWith("large", {"01:00.0"});
  large.memory = PageCount(50000);
  EXPECT_FALSE(host_->CreateDomain(large, false, NeverStop).ok());
  MustCreate(*host_, SpecWith("web", {"01:00.0"}));
}

TEST_F(HostPciTest, RestoredDomainHasTheDevicesThatItsConfigNames) {
  {
    const auto incoming = IncomingDomain::Create(
        *host_, SpecWith("comer", {"01:00.0"}), Pfn(1000));
    ASSERT_THAT(incoming, IsOk());
    ExpectInUse({"01:00.0"}, "(1) has it");
  }
  // It never arrived.
  MustCreate(*host_, SpecWith("web", {"01:00.0"}));
  EXPECT_THAT(
      IncomingDomain::Create(*host_, SpecWith("comer", {"01:00.0"}), Pfn(1000)),
      IsError(Code::kFailedPrecondition, Reason::kPciDeviceInUse,
              HasSubstr("restore of domain \"comer\"")));
}

}  // namespace
}  // namespace simvisor
