#include "domain/boot_log/dom0_map.h"

#include <vector>

namespace simvisor {

absl::StatusOr<E820Map> Dom0Map(const E820Map& machine, bool reserves_ibft) {
  std::vector<E820Entry> entries = machine.entries();
  for (E820Entry& entry : entries) {
    if (entry.type == E820Type::kUnusable) entry.type = E820Type::kRam;
  }
  if (reserves_ibft) {
    entries.push_back({kIbftStart, kIbftEnd - kIbftStart, E820Type::kReserved});
  }
  return E820Map::CreateDerived(ResolveOverlaps(entries));
}

}  // namespace simvisor
