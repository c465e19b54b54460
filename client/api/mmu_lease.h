// The lease of a secondary MMU, by its own clock.
//
// The daemon counts from when it gets a renewal; the client from when it sent
// it, and takes only 0.9 of the lease, since clocks drift.  So the client stops
// before the daemon does.
//
// Times are since some moment, by a clock that never goes back.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_API_MMU_LEASE_H_
#define SIMVISOR_CLIENT_API_MMU_LEASE_H_

#include <cstdint>
#include <map>

#include "absl/time/time.h"

namespace simvisor::client {

class MmuLease {
 public:
  // A lease that a registration sent at `sent` asks for.
  explicit MmuLease(absl::Duration sent) : safe_until_(sent) {}

  // Notes that the registration was granted, with this lease.
  void Grant(absl::Duration lease) {
    lease_ = lease;
    safe_until_ += kSafePart * lease;
  }

  // When the next renewal is due.  REQUIRES: Grant().
  absl::Duration due() const { return due_; }
  // Notes that a renewal is sent; returns its nonce.
  uint64_t Renew(absl::Duration now);
  // Notes the answer to one.  False if that was not sent, or was answered.
  bool Answer(uint64_t nonce, bool extended);

  // Whether mappings may be used.
  bool IsSafe(absl::Duration now) const { return now < safe_until_; }

 private:
  static constexpr double kSafePart = 0.9;

  absl::Duration lease_;
  absl::Duration safe_until_;
  absl::Duration due_;
  uint64_t last_nonce_ = 0;
  std::map<uint64_t, absl::Duration> sent_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_MMU_LEASE_H_
