#include "domain/host/pci_owners.h"

#include <cassert>

namespace simvisor {
namespace {

// Calls `visit` with the number of each function of `device`.
template <typename Visit>
void ForEachFunction(const PciAddress& device, Visit visit) {
  for (int function = 0; function < PciAddress::kFunctions; ++function) {
    if (device.Has(function)) visit(device.FunctionNumber(function));
  }
}

}  // namespace

std::optional<PciOwners::Owned> PciOwners::FindOwned(
    absl::Span<const PciAddress> devices) const {
  for (const PciAddress& device : devices) {
    std::optional<Owned> owned;
    ForEachFunction(device, [&](uint32_t function) {
      const auto at = owners_.find(function);
      if (at != owners_.end()) owned = Owned{device, at->second};
    });
    if (owned) return owned;
  }
  return std::nullopt;
}

void PciOwners::Assign(absl::Span<const PciAddress> devices, DomainId owner) {
  assert(!FindOwned(devices).has_value());
  for (const PciAddress& device : devices) {
    ForEachFunction(device,
                    [&](uint32_t function) { owners_[function] = owner; });
  }
}

void PciOwners::Release(absl::Span<const PciAddress> devices, DomainId owner) {
  for (const PciAddress& device : devices) {
    ForEachFunction(device, [&](uint32_t function) {
      const auto at = owners_.find(function);
      if (at != owners_.end() && at->second == owner) owners_.erase(at);
    });
  }
}

}  // namespace simvisor
