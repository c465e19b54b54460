// The Operation of a request that changes words of a domain.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_MEMORY_CHANGE_OPERATION_H_
#define SIMVISOR_SERVER_MEMORY_CHANGE_OPERATION_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "domain/units/operation.h"
#include "server/convert/argument.h"
#include "server/machine/machine.h"
#include "simvisor/v1/secondary_mmus.pb.h"

namespace simvisor::server {

// Whether the change may wait for secondary MMUs.  INVALID_ARGUMENT
// ARGUMENT_MALFORMED for an unknown value.
inline absl::StatusOr<bool> MayWait(v1::SecondaryMmuWait wait) {
  switch (wait) {
    case v1::SECONDARY_MMU_WAIT_UNSPECIFIED:
    case v1::SECONDARY_MMU_WAIT_LEASE:
      return true;
    case v1::SECONDARY_MMU_WAIT_NEVER:
      return false;
    default:
      return UnknownValue("secondary_mmus", wait,
                          "SECONDARY_MMU_WAIT_LEASE or "
                          "SECONDARY_MMU_WAIT_NEVER");
  }
}

// `request` may lack the field secondary_mmus; it then waits.  `name` and what
// `stop` refers to outlive the operation.  Errors: as MayWait().
template <typename Request>
absl::StatusOr<Operation> ChangeOf(const Request& request,
                                   absl::string_view name, StopCheck stop,
                                   const Machine& machine) {
  Operation operation{.name = name, .stop = stop};
  operation.grace = machine.mmu_grace();
  if constexpr (requires { request.secondary_mmus(); }) {
    SIMVISOR_ASSIGN_OR_RETURN(operation.may_wait,
                              MayWait(request.secondary_mmus()));
  }
  return operation;
}

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_CHANGE_OPERATION_H_
