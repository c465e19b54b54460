// Targets that each move 64 MiB, call after call: the calls go over all domains
// repeatedly; in each pass half of the domains go down and the others up, and
// they swap in the next pass.  In the first pass only the domains that go down
// move pages.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_TARGET_STEPS_H_
#define SIMVISOR_BENCH_RPC_TARGET_STEPS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/rpc/crowd.h"
#include "simvisor/v1/common.pb.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::bench {

inline constexpr uint64_t kStepPages = uint64_t{1} << 14;

// The domain of call number `call`, out of `domains`.
inline uint64_t DomainOf(uint64_t call, uint64_t domains) {
  return call % domains;
}
inline uint64_t TargetOf(uint64_t call, uint64_t domains) {
  const uint64_t pass = call / domains;
  const bool down = (DomainOf(call, domains) + pass) % 2 == 0;
  return Crowd::kPages - (down ? kStepPages : 0);
}

inline absl::Status CheckMoved(uint64_t target,
                               const v1::DomainMemory& memory) {
  if (memory.current_pages() == target) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(
      "target ", target, " pages, but ", memory.current_pages(), " are there"));
}

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_TARGET_STEPS_H_
