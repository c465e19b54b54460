// Many running domains of the same size.
//
// Thread safety: one thread at a time.

#ifndef SIMVISOR_BENCH_RPC_CROWD_H_
#define SIMVISOR_BENCH_RPC_CROWD_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/rpc/connections.h"
#include "bench/rpc/load.h"

namespace simvisor::bench {

class Crowd {
 public:
  // Pages of each domain, 1 GiB.
  static constexpr uint64_t kPages = uint64_t{1} << 18;

  explicit Crowd(uint64_t size) : domids_(static_cast<size_t>(size)) {}

  // Creates all domains.  If a call fails, the domains created so far stay.
  absl::StatusOr<Outcome> Create(const Connections& connections, int in_flight);
  // Destroys them.
  absl::StatusOr<Outcome> Destroy(const Connections& connections,
                                  int in_flight);

  uint64_t size() const { return domids_.size(); }
  uint32_t domid(uint64_t i) const { return domids_[i]; }

 private:
  // The id of each domain, by its number; each entry is written by one call.
  std::vector<uint32_t> domids_;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_CROWD_H_
