#include "domain/image/image_memory.h"

#include "absl/strings/str_format.h"
#include "base/error.h"

namespace simvisor {

absl::Status ImageMemoryExhausted(uint64_t wanted, const ByteCharge& charge) {
  const ByteBudget& budget = *charge.budget();
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kImageMemoryExhausted,
      absl::StrFormat(
          "save image: reading it takes %d bytes, of which it has %d; images "
          "on their way in have %d of %d; wait until other restores have "
          "ended, or start the daemon with a larger --max-image-memory",
          wanted, charge.bytes(), budget.used(), budget.limit()),
      {{fact::kRequested, wanted - charge.bytes()},
       {fact::kAvailable,
        budget.limit() - std::min(budget.limit(), budget.used())},
       {fact::kLimit, budget.limit()},
       {fact::kUnit, "bytes"}});
}

}  // namespace simvisor
