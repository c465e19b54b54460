// Virtual CPUs of a domain and where they run.

#include "domain/vm/domain.h"

namespace simvisor {

absl::Status Domain::SetVcpuAffinity(const Operation& operation,
                                     absl::Span<const uint32_t> vcpus,
                                     const CpuRanges* hard,
                                     const CpuRanges* soft) {
  return vcpus_.SetAffinity({id_, operation.name}, vcpus, hard, soft);
}

absl::StatusOr<std::vector<VcpuInfo>> Domain::ListVcpus(uint32_t first,
                                                        size_t limit) const {
  return vcpus_.List({id_, "list vcpus"}, first, limit);
}

}  // namespace simvisor
