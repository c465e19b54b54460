// Changes of a guest's p2m list, and their results.
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_TYPES_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "domain/units/units.h"

namespace simvisor {

// The result of a range change.
struct RangeChange {
  PageCount marked;     // words written
  PageCount released;   // frames that went back to the pool
  PageCount p2m_pages;  // pages the guest took for its list and tree
};

// A frame of another domain, and the pfn to map it at.
struct ForeignSlot {
  Pfn pfn;
  Mfn mfn;
};

// Why one slot of a call failed.
struct SlotError {
  uint32_t slot = 0;
  absl::Status status;
};

// The result of mapping or unmapping foreign frames.
struct ForeignReport {
  static constexpr size_t kMaxErrors = 4096;

  uint32_t done = 0;
  uint32_t failed = 0;
  std::vector<SlotError> errors;  // the first kMaxErrors, by slot
  PageCount p2m_pages;  // pages the guest took for its list and tree (map)
  PageCount freed;      // frames that went back to the pool (unmap)

  void Fail(size_t slot, absl::Status status) {
    ++failed;
    if (errors.size() == kMaxErrors) return;
    errors.push_back({static_cast<uint32_t>(slot), std::move(status)});
  }
};

// What happens to the frame under a RAM word that is overwritten.
enum class RamPolicy { kRefuse, kRelease, kKeep };

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_TYPES_H_
