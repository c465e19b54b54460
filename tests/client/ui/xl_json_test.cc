#include "client/ui/xl_json.h"

#include <gtest/gtest.h>

#include <string>

#include "google/protobuf/text_format.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

TEST(XlJsonTest, DomainHasLibxlsNamesOrderAndUnits) {
  EXPECT_EQ(OneLine(XlConfigOf(Parse<v1::Domain>(R"pb(
              domid: 3
              name: "web"
              uuid: "00000000-0000-0000-0000-000000000001"
              vcpus: 2
              memory {
                current_pages: 100
                max_pages: 768
                static_max_pages: 512
                target_pages: 256
              })pb"))),
            R"({"c_info":{"type":"pv","name":"web",)"
            R"("uuid":"00000000-0000-0000-0000-000000000001"},)"
            R"("b_info":{"max_vcpus":2,"avail_vcpus":[0,1],)"
            R"("max_memkb":2048,"target_memkb":1024,"type.pv":{}}})");
}

TEST(XlJsonTest, PciDevicesLeaveZerosOut) {
  const Json config = XlConfigOf(Parse<v1::Domain>(R"pb(
    pci_devices: "0000:01:00.0"
    pci_devices: "0001:0a:1f.7"
    pci_devices: "02:00.*"
  )pb"));
  EXPECT_EQ(OneLine(config["pcidevs"]),
            R"([{"bus":1,"vfunc_mask":1},)"
            R"({"func":7,"dev":31,"bus":10,"domain":1,"vfunc_mask":1},)"
            R"({"bus":2,"vfunc_mask":255}])");
}

TEST(XlJsonTest, PlanHasWhatTheDaemonWouldChoose) {
  EXPECT_EQ(
      OneLine(XlConfigOf(Parse<v1::DomainSpec>(R"pb(name: "web"
                                                    memory_pages: 256
                                                    e820_host: true)pb"))),
      R"({"c_info":{"type":"pv","name":"web"},)"
      R"("b_info":{"max_vcpus":1,"avail_vcpus":[0],"max_memkb":1024,)"
      R"("target_memkb":1024,"type.pv":{"e820_host":"True"}}})");
}

TEST(XlJsonTest, OneAffinityAppliesToAllVirtualCpus) {
  const Json build = XlConfigOf(Parse<v1::DomainSpec>(R"pb(
    vcpus: 2
    vcpu_affinities { hard { ranges { first_cpu: 2 count: 2 } } }
  )pb"))["b_info"];
  EXPECT_EQ(OneLine(build["vcpu_hard_affinity"]), "[[2,3],[2,3]]");
  EXPECT_FALSE(build.contains("vcpu_soft_affinity"));
}

TEST(XlJsonTest, AffinityUpToTheLastCpuIsLeftOut) {
  const Json build = XlConfigOf(Parse<v1::DomainSpec>(R"pb(
    vcpus: 2
    vcpu_affinities {
      hard { ranges { first_cpu: 2 } }
      soft { ranges { first_cpu: 1 count: 1 } }
    }
    vcpu_affinities { soft { ranges { first_cpu: 5 count: 1 } } }
  )pb"))["b_info"];
  EXPECT_FALSE(build.contains("vcpu_hard_affinity"));
  EXPECT_EQ(OneLine(build["vcpu_soft_affinity"]), "[[1],[5]]");
}

}  // namespace
}  // namespace simvisor::client
