// Which domain has which PCI function of the machine; at most one domain has
// it.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_HOST_PCI_OWNERS_H_
#define SIMVISOR_DOMAIN_HOST_PCI_OWNERS_H_

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "domain/units/pci_address.h"
#include "domain/units/units.h"

namespace simvisor {

class PciOwners {
 public:
  struct Owned {
    PciAddress device;
    DomainId owner;
  };

  // The first of `devices` with a function that a domain has, and that domain;
  // nullopt if all functions are free.
  std::optional<Owned> FindOwned(absl::Span<const PciAddress> devices) const;

  // Gives `devices` to `owner`.
  // REQUIRES: all are free.
  void Assign(absl::Span<const PciAddress> devices, DomainId owner);

  // Frees the functions of `devices` that `owner` has.
  void Release(absl::Span<const PciAddress> devices, DomainId owner);

 private:
  absl::flat_hash_map<uint32_t, DomainId> owners_;  // by FunctionNumber()
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_PCI_OWNERS_H_
