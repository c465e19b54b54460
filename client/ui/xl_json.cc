#include "client/ui/xl_json.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_field.h"

namespace simvisor::client {
namespace {

constexpr uint64_t kKibPerPage = 4;

struct Sizes {
  uint32_t vcpus = 0;
  uint64_t max_pages = 0;
  uint64_t target_pages = 0;
};

Json CreateInfo(const std::string& name, const std::string& uuid) {
  Json info = {{"type", "pv"}, {"name", name}};
  if (!uuid.empty()) info["uuid"] = uuid;
  return info;
}

Json BuildInfo(const Sizes& sizes) {
  Json vcpus = Json::array();
  for (uint32_t vcpu = 0; vcpu < sizes.vcpus; ++vcpu) vcpus.push_back(vcpu);
  return {{"max_vcpus", sizes.vcpus},
          {"avail_vcpus", std::move(vcpus)},
          {"max_memkb", sizes.max_pages * kKibPerPage},
          {"target_memkb", sizes.target_pages * kKibPerPage}};
}

// The number that `text` is in hexadecimal; the daemon checks the form.
uint32_t Hex(absl::string_view text) {
  uint32_t number = 0;
  return absl::SimpleHexAtoi(text, &number) ? number : 0;
}

void PutUnlessZero(Json& object, const char* name, uint32_t number) {
  if (number != 0) object[name] = number;
}

// A device from [DDDD:]BB:DD.F, with * for F for all functions.
Json PciDevice(absl::string_view text) {
  std::vector<absl::string_view> parts =
      absl::StrSplit(text, absl::ByAnyChar(":."));
  if (parts.size() == 3) parts.insert(parts.begin(), "0");
  Json device = Json::object();
  if (parts.size() != 4) return device;
  const bool whole = parts[3] == "*";
  PutUnlessZero(device, "func", whole ? 0 : Hex(parts[3]));
  PutUnlessZero(device, "dev", Hex(parts[2]));
  PutUnlessZero(device, "bus", Hex(parts[1]));
  PutUnlessZero(device, "domain", Hex(parts[0]));
  // One bit for each function that the guest gets.
  device["vfunc_mask"] = whole ? 0xff : 1;
  return device;
}

void PutPciDevices(
    Json& config,
    const google::protobuf::RepeatedPtrField<std::string>& devices) {
  if (devices.empty()) return;
  Json list = Json::array();
  for (const std::string& device : devices) list.push_back(PciDevice(device));
  config["pcidevs"] = std::move(list);
}

bool IsOpen(const v1::CpuSet& set) {
  return std::any_of(
      set.ranges().begin(), set.ranges().end(),
      [](const v1::CpuRange& cpus) { return cpus.count() == 0; });
}

Json CpusOf(const v1::CpuSet& set) {
  Json cpus = Json::array();
  for (const v1::CpuRange& range : set.ranges()) {
    for (uint32_t i = 0; i < range.count(); ++i) {
      cpus.push_back(range.first_cpu() + i);
    }
  }
  return cpus;
}

// The affinities of `spec`, one for each virtual CPU, under `name`; nothing
// unless all of them are closed sets.
void PutAffinities(Json& build, const char* name, const v1::DomainSpec& spec,
                   uint32_t vcpus,
                   const v1::CpuSet& (v1::VcpuAffinity::*part)() const) {
  Json list = Json::array();
  for (const v1::VcpuAffinity& affinity : spec.vcpu_affinities()) {
    const v1::CpuSet& set = (affinity.*part)();
    if (set.ranges().empty() || IsOpen(set)) return;
    list.push_back(CpusOf(set));
  }
  if (list.empty()) return;
  // A single entry applies to all of them.
  while (spec.vcpu_affinities_size() == 1 && list.size() < vcpus) {
    list.push_back(list.front());
  }
  build[name] = std::move(list);
}

}  // namespace

Json XlConfigOf(const v1::Domain& domain) {
  Json config = {
      {"c_info", CreateInfo(domain.name(), domain.uuid())},
      {"b_info", BuildInfo({.vcpus = domain.vcpus(),
                            .max_pages = domain.memory().static_max_pages(),
                            .target_pages = domain.memory().target_pages()})}};
  config["b_info"]["type.pv"] = Json::object();
  PutPciDevices(config, domain.pci_devices());
  return config;
}

Json XlConfigOf(const v1::DomainSpec& spec) {
  const uint32_t vcpus = std::max(spec.vcpus(), 1u);
  Json build = BuildInfo(
      {.vcpus = vcpus,
       .max_pages = std::max(spec.max_memory_pages(), spec.memory_pages()),
       .target_pages = spec.memory_pages()});
  PutAffinities(build, "vcpu_hard_affinity", spec, vcpus,
                &v1::VcpuAffinity::hard);
  PutAffinities(build, "vcpu_soft_affinity", spec, vcpus,
                &v1::VcpuAffinity::soft);
  build["type.pv"] = Json::object();
  // A libxl_defbool is a word.
  if (spec.e820_host()) build["type.pv"]["e820_host"] = "True";
  Json config = {{"c_info", CreateInfo(spec.name(), spec.uuid())},
                 {"b_info", std::move(build)}};
  PutPciDevices(config, spec.pci_devices());
  return config;
}

}  // namespace simvisor::client
