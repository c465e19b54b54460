// A bound on the address space that sparse mappings reserve.
//
// A list of words reserves address space for all that it may ever hold, and
// takes memory only where it is written; so with many large lists address space
// runs out first.  When it is exhausted, every allocation in the process fails:
// thread stacks, messages, the heap.  Therefore the sum of the reservations has
// a bound, and the rest stays free for everything else.
//
// Units: bytes.
//
// Thread safety: MappingBudget thread-safe; Mapping thread-compatible.

#ifndef SIMVISOR_DOMAIN_COLLECTIONS_MAPPING_BUDGET_H_
#define SIMVISOR_DOMAIN_COLLECTIONS_MAPPING_BUDGET_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "base/allocation_faults.h"

namespace simvisor {

class MappingBudget {
 public:
  // Zeroed memory, readable and writable; the destructor unmaps it and takes it
  // off the count.
  class Mapping {
   public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    void* get() const { return at_; }
    uint64_t bytes() const { return bytes_; }

   private:
    friend class MappingBudget;
    Mapping(MappingBudget* budget, void* at, uint64_t bytes)
        : budget_(budget), at_(at), bytes_(bytes) {}

    MappingBudget* budget_ = nullptr;  // outlives the mapping
    void* at_ = nullptr;
    uint64_t bytes_ = 0;
  };

  // Half the address space of an x86-64 process with four-level page tables.
  static constexpr uint64_t kMostOfProcess = uint64_t{64} << 40;

  explicit MappingBudget(uint64_t bound) : bound_(bound) {}
  MappingBudget(const MappingBudget&) = delete;
  MappingBudget& operator=(const MappingBudget&) = delete;

  // The budget of this process: BoundFor() of its RLIMIT_AS at the first call.
  // Never destroyed.
  static MappingBudget& OfProcess();
  // The bytes that mappings may take in a process whose limit is `limit`: half
  // of it, and at most kMostOfProcess.
  static uint64_t BoundFor(uint64_t limit);

  // Maps `bytes`, a multiple of the page size, without committing memory.
  //
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED if the bound leaves no room
  // for it, the system refuses, or `faults` (if not null) fails the allocation.
  absl::StatusOr<Mapping> Map(uint64_t bytes, AllocationFaults* faults);

  uint64_t bound() const { return bound_; }
  // The sum over all existing mappings.
  uint64_t reserved() const {
    return reserved_.load(std::memory_order_relaxed);
  }

 private:
  bool Reserve(uint64_t bytes);
  void Release(uint64_t bytes) {
    reserved_.fetch_sub(bytes, std::memory_order_relaxed);
  }

  const uint64_t bound_;
  std::atomic<uint64_t> reserved_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_MAPPING_BUDGET_H_
