// The epoch of a domain's mappings.

#ifndef SIMVISOR_TESTS_SUPPORT_MAPPING_EPOCH_H_
#define SIMVISOR_TESTS_SUPPORT_MAPPING_EPOCH_H_

#include <cstdint>

#include "domain/vm/domain.h"
#include "domain/vm/parts.h"

namespace simvisor {

inline uint64_t EpochOf(Domain& domain) {
  return domain.Peek([](const Parts& on) { return on.mapping_epoch; });
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_MAPPING_EPOCH_H_
