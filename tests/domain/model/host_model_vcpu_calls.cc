// HostModel: where virtual CPUs run.

#include <cstdint>
#include <set>
#include <vector>

#include "tests/domain/model/host_model.h"

namespace simvisor {

// CPUs of a set of ranges on the model's host.
std::set<uint32_t> HostModel::CpusOf(const CpuRanges& ranges) {
  std::set<uint32_t> cpus;
  for (const CpuRange& range :
       ranges.empty() ? CpuRanges{{0, kCpus}} : ranges) {
    const uint32_t end = range.count == 0 ? kCpus : range.first + range.count;
    for (uint32_t cpu = range.first; cpu < end; ++cpu) cpus.insert(cpu);
  }
  return cpus;
}

// At most three ranges; may leave the host.
CpuRanges HostModel::PickCpus() {
  CpuRanges ranges(Pick(4));
  for (CpuRange& range : ranges) {
    range.first = static_cast<uint32_t>(Pick(Chance(10) ? kCpus + 2 : kCpus));
    range.count = static_cast<uint32_t>(
        Pick(Chance(10) ? kCpus + 2 : kCpus - range.first % kCpus + 1));
  }
  return ranges;
}

void HostModel::SetAffinity() {
  Guest& guest = PickGuest();
  std::vector<uint32_t> vcpus(Pick(3));
  for (uint32_t& vcpu : vcpus) {
    vcpu = static_cast<uint32_t>(Pick(guest.vcpus.size() + Chance(30)));
  }
  const CpuRanges masks[] = {PickCpus(), PickCpus()};
  const bool given[] = {Chance(70), Chance(70)};
  const absl::Status status = guest.domain->vcpus().SetAffinity(
      vcpus, given[0] ? &masks[0] : nullptr, given[1] ? &masks[1] : nullptr);
  for (const uint32_t vcpu : vcpus) {
    if (vcpu < guest.vcpus.size()) continue;
    EXPECT_THAT(status, Fails(absl::StatusCode::kInvalidArgument,
                              Reason::kVcpuOutOfRange));
    return;
  }
  for (const bool soft : {false, true}) {
    if (!given[soft]) continue;
    for (const CpuRange& range : masks[soft]) {
      if (range.first < kCpus && range.first + range.count <= kCpus) continue;
      EXPECT_THAT(status, Fails(absl::StatusCode::kInvalidArgument,
                                Reason::kCpuInvalid));
      return;
    }
  }
  EXPECT_THAT(status, IsOk());
  for (uint32_t vcpu = 0; vcpu < guest.vcpus.size(); ++vcpu) {
    if (!vcpus.empty() &&
        std::find(vcpus.begin(), vcpus.end(), vcpu) == vcpus.end()) {
      continue;
    }
    if (given[0]) guest.vcpus[vcpu].hard = CpusOf(masks[0]);
    if (given[1]) guest.vcpus[vcpu].soft = CpusOf(masks[1]);
  }
}

void HostModel::CheckVcpus(const Guest& guest) {
  const auto listed = guest.domain->vcpus().List(0, 100);
  ASSERT_THAT(listed, IsOk());
  ASSERT_EQ(listed->size(), guest.vcpus.size());
  for (const VcpuInfo& vcpu : *listed) {
    const Guest::Vcpu& model = guest.vcpus.at(vcpu.vcpu);
    EXPECT_EQ(CpusOf(vcpu.hard), model.hard);
    EXPECT_EQ(CpusOf(vcpu.soft), model.soft);
    uint64_t bytes = 0;
    for (const auto* set : {&model.hard, &model.soft}) {
      const bool shared = set->size() == 1 || set->size() == kCpus;
      bytes += shared ? 0 : (kCpus + 63) / 64 * 8;
    }
    EXPECT_EQ(vcpu.mask_bytes, bytes);
  }
}

}  // namespace simvisor
