#include "client/xl/affinity_keys.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/xl/cpu_set.h"

namespace simvisor::client {
namespace {

// The most virtual CPUs read here; the daemon refuses more than it allows.
constexpr uint32_t kMaxVcpus = 8192;

// The sets of one key: one set for all virtual CPUs, or one set for each of the
// first virtual CPUs.
struct KeySets {
  bool for_all = true;
  std::vector<v1::CpuSet> sets;

  // The set of a virtual CPU; null if it runs anywhere.
  const v1::CpuSet* Of(uint32_t vcpu) const {
    if (for_all) return sets.empty() ? nullptr : &sets[0];
    return vcpu < sets.size() ? &sets[vcpu] : nullptr;
  }
};

absl::StatusOr<KeySets> ReadKey(XluConfig& config, const char* key) {
  KeySets read;
  read.for_all = !config.IsList(key);
  SIMVISOR_ASSIGN_OR_RETURN(const auto texts, config.GetStrings(key));
  for (const std::string& text : texts) {
    auto set = ParseCpuSet(text);
    if (!set.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(key, ": ", set.status().message()));
    }
    read.sets.push_back(*std::move(set));
  }
  return read;
}

}  // namespace

absl::Status ReadAffinities(XluConfig& config, v1::DomainSpec& spec) {
  SIMVISOR_ASSIGN_OR_RETURN(const KeySets hard, ReadKey(config, "cpus"));
  SIMVISOR_ASSIGN_OR_RETURN(const KeySets soft, ReadKey(config, "cpus_soft"));
  if (hard.sets.empty() && soft.sets.empty()) return absl::OkStatus();
  // A single entry means all virtual CPUs, so a list needs one for each.
  const uint32_t entries =
      hard.for_all && soft.for_all ? 1 : std::min(spec.vcpus(), kMaxVcpus);
  for (uint32_t vcpu = 0; vcpu < entries; ++vcpu) {
    v1::VcpuAffinity* const affinity = spec.add_vcpu_affinities();
    if (hard.Of(vcpu) != nullptr) {
      *affinity->mutable_hard() = *hard.Of(vcpu);
    }
    if (soft.Of(vcpu) != nullptr) {
      *affinity->mutable_soft() = *soft.Of(vcpu);
    }
  }
  return absl::OkStatus();
}

}  // namespace simvisor::client
