#include "domain/collections/mapping_budget.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"

namespace simvisor {
namespace {

uint64_t LimitOfProcess() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0) return ~uint64_t{0};
  return limit.rlim_cur == RLIM_INFINITY ? ~uint64_t{0} : limit.rlim_cur;
}

}  // namespace

MappingBudget::Mapping::Mapping(Mapping&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      at_(std::exchange(other.at_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

MappingBudget::Mapping& MappingBudget::Mapping::operator=(
    Mapping&& other) noexcept {
  // The old mapping is released with `given_up`.
  Mapping given_up(std::move(other));
  std::swap(budget_, given_up.budget_);
  std::swap(at_, given_up.at_);
  std::swap(bytes_, given_up.bytes_);
  return *this;
}

MappingBudget::Mapping::~Mapping() {
  if (budget_ == nullptr) return;
  // The kernel limits how many mappings a process may have, and unmapping the
  // middle of one splits it in two.
  if (munmap(at_, bytes_) != 0) madvise(at_, bytes_, MADV_DONTNEED);
  budget_->Release(bytes_);
}

MappingBudget& MappingBudget::OfProcess() {
  static MappingBudget* const kBudget =
      new MappingBudget(BoundFor(LimitOfProcess()));
  return *kBudget;
}

uint64_t MappingBudget::BoundFor(uint64_t limit) {
  return std::min(limit / 2, kMostOfProcess);
}

bool MappingBudget::Reserve(uint64_t bytes) {
  uint64_t reserved = reserved_.load(std::memory_order_relaxed);
  do {
    if (bytes > bound_ || reserved > bound_ - bytes) return false;
  } while (!reserved_.compare_exchange_weak(reserved, reserved + bytes,
                                            std::memory_order_relaxed));
  return true;
}

absl::StatusOr<MappingBudget::Mapping> MappingBudget::Map(
    uint64_t bytes, AllocationFaults* faults) {
  if (!Reserve(bytes)) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        Reason::kHostAddressSpaceExhausted,
        absl::StrFormat("reserving %d bytes of address space: %d of %d that "
                        "lists of frames may take are taken; destroy domains "
                        "or use smaller ones",
                        bytes, reserved(), bound_),
        {{fact::kRequested, bytes},
         {fact::kAvailable, bound_ - std::min(bound_, reserved())},
         {fact::kLimit, bound_},
         {fact::kUnit, "bytes"}});
  }
  void* at = MAP_FAILED;
  if (faults != nullptr && faults->FailNow(AllocationSite::kAddressSpace)) {
    errno = ENOMEM;
  } else {
    at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  if (at != MAP_FAILED) return Mapping(this, at, bytes);
  const int error = errno;
  Release(bytes);
  return MakeError(absl::StatusCode::kResourceExhausted,
                   Reason::kHostAddressSpaceExhausted,
                   absl::StrFormat("reserving %d bytes of address space: %s; "
                                   "destroy domains or use smaller ones",
                                   bytes, std::strerror(error)),
                   {{fact::kRequested, bytes}, {fact::kUnit, "bytes"}});
}

}  // namespace simvisor
