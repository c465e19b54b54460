// The processes of a domain's PAE guest.
//
// All methods fail with FAILED_PRECONDITION ARCH_NOT_PAE or DOMAIN_NOT_BOOTED;
// other errors as for AddressSpaces.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_PROCESSES_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_PROCESSES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/processes/address_space_types.h"
#include "domain/units/operation.h"
#include "domain/units/p2m_word.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

class Domain;

class DomainProcesses {
 public:
  explicit DomainProcesses(Domain& domain) : domain_(domain) {}

  // Makes `count` processes; none if `stop` ends the call.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED; INVALID_ARGUMENT RANGE_INVALID
  // if `count` is 0.
  absl::StatusOr<NewAddressSpaces> Create(const Operation& operation,
                                          uint32_t count) const;
  absl::StatusOr<AddressSpaceTotals> Destroy(
      const Operation& operation, absl::Span<const uint64_t> ids) const;
  absl::StatusOr<AddressSpaceSync> Sync(const Operation& operation) const;

  // Appends processes with ids from first_id on, ascending, at most `max`.
  absl::StatusOr<AddressSpaceTotals> List(
      uint64_t first_id, size_t max,
      std::vector<AddressSpaceInfo>& spaces) const;
  // Appends the words of `pfns` as the process sees them through its tables.
  absl::Status TranslateIn(uint64_t id, absl::Span<const uint64_t> pfns,
                           std::vector<P2mWord>& words) const;

 private:
  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_PROCESSES_H_
