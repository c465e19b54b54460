// The progress of a migration, for the client that waits for it.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_SESSIONS_MIGRATION_PROGRESS_H_
#define SIMVISOR_SERVER_SESSIONS_MIGRATION_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "domain/migration/precopy.h"
#include "server/threads/clock.h"

namespace simvisor::server {

enum class MigrationPhase {
  kAdmission,   // the target checks whether it has room
  kCopying,     // the guest runs and is copied
  kSuspended,   // the guest is suspended, and the rest is sent
  kCommitting,  // the target is told to run it
  kMoved,       // the source has destroyed its copy
};

// The fields are those of MigrateDomainResponse.
struct MigrationProgress {
  MigrationPhase phase = MigrationPhase::kAdmission;
  uint32_t pass = 0;
  uint64_t pass_pfns_done = 0;
  uint64_t pass_pfns_total = 0;
  uint64_t data_pages = 0;
  uint64_t bytes_sent = 0;
  uint64_t dirty_pages = 0;
  uint64_t bytes_per_second = 0;
  uint64_t pass_left_ms = 0;
  uint64_t downtime_ms = 0;
  bool converges = true;
  // The domain at the target, in the peer's encoding; see TargetMessage.
  std::string domain;
};

// Measures a migration, for progress reports and for pacing.
class ProgressMeter {
 public:
  // `clock` outlives this object.
  explicit ProgressMeter(Clock* clock) : clock_(*clock) {}

  // Call when the head has been sent and the first pass begins.
  void StartCopying();
  // Call when a pass has ended, before the guest may be suspended.
  void StartPass();
  void Sent(size_t bytes) { bytes_sent_ += bytes; }

  // The mean rate since the first pass began.
  uint64_t BytesPerSecond() const;
  // The time at which the bytes sent since then no longer exceed this rate.
  Clock::Time WhenPaced(uint64_t bytes_per_second) const;
  // Milliseconds since the last StartPass(): the downtime, if the guest was
  // suspended then.
  uint64_t DowntimeMs() const { return MillisecondsSince(pass_since_); }

  // Fills in the figures that are known; `precopy` may be null.
  void Fill(const Precopy* precopy, MigrationProgress& progress) const;

 private:
  uint64_t MillisecondsSince(Clock::Time start) const;

  Clock& clock_;
  uint64_t head_bytes_ = 0;
  uint64_t bytes_sent_ = 0;
  Clock::Time copying_since_{};
  Clock::Time pass_since_{};
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_MIGRATION_PROGRESS_H_
