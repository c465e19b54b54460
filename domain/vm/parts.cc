#include "domain/vm/parts.h"

#include "base/error.h"

namespace simvisor {

absl::Status Parts::CheckBuilt(const Context& context) const {
  if (built_ != nullptr) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kFailedPrecondition, Reason::kGuestKernelUnknown, "",
      "nothing is built in it that a kernel could boot from; build it first");
}

}  // namespace simvisor
