// Why a guest has more or fewer pages than its target.
//
// Thread safety: a pure function.

#ifndef SIMVISOR_DOMAIN_VM_BALLOON_SHORTFALL_H_
#define SIMVISOR_DOMAIN_VM_BALLOON_SHORTFALL_H_

#include <optional>

#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

// Judges a domain in `state` with `memory`, held pages included, whose guest
// has `driver` (unset before boot), on a machine with `free` frames that it
// could get.  The causes are looked at in the order of the enum.  Nullopt if
// the guest has its target, or the domain is dying.
std::optional<BalloonShortfall> FindShortfall(
    DomainState state, const DomainMemory& memory,
    const std::optional<BalloonDriverInfo>& driver, PageCount free);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_BALLOON_SHORTFALL_H_
