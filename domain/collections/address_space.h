// Address space of the process that sparse mappings take.
//
// A list of words reserves room for all that it may ever hold, and memory only
// where it is written; so what runs out first with many large lists is address
// space.  When none is left every allocation fails, wherever it is made: thread
// stacks, messages, the heap.  Therefore the sum of the reservations is
// bounded, and what lies beyond the bound stays for everything else.
//
// Units: bytes.
//
// Thread safety: AddressSpace thread-safe; Mapping thread-compatible.

#ifndef SIMVISOR_DOMAIN_COLLECTIONS_ADDRESS_SPACE_H_
#define SIMVISOR_DOMAIN_COLLECTIONS_ADDRESS_SPACE_H_

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "base/allocation_faults.h"

namespace simvisor {

class AddressSpace {
 public:
  // Zeroed memory, readable and writable; unmapped and no longer counted when
  // the object goes.
  class Mapping {
   public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    void* get() const { return at_; }
    uint64_t bytes() const { return bytes_; }

   private:
    friend class AddressSpace;
    Mapping(AddressSpace* space, void* at, uint64_t bytes)
        : space_(space), at_(at), bytes_(bytes) {}

    AddressSpace* space_ = nullptr;  // outlives the mapping
    void* at_ = nullptr;
    uint64_t bytes_ = 0;
  };

  // Half of what a process on x86-64 has, with page tables of four levels.
  static constexpr uint64_t kMostOfProcess = uint64_t{64} << 40;

  explicit AddressSpace(uint64_t bound) : bound_(bound) {}
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  // That of this process, bounded by BoundFor() its RLIMIT_AS at the first
  // call.  Never destroyed.
  static AddressSpace& OfProcess();
  // What mappings may take of a process that the system limits to `limit`: half
  // of it, and never more than kMostOfProcess.
  static uint64_t BoundFor(uint64_t limit);

  // Maps `bytes`, a multiple of the page size, without committing memory.
  //
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED if the bound does not leave
  // room for it, or the system refuses, or `faults`, if not null, in its place.
  absl::StatusOr<Mapping> Map(uint64_t bytes, AllocationFaults* faults);

  uint64_t bound() const { return bound_; }
  // Of all mappings that exist.
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

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_ADDRESS_SPACE_H_
