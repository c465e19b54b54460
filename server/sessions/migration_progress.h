// How far a migration is, for whoever waits for it.
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
  kMoved,       // nothing is left here
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
  // The domain at the target, in the peer's encoding; see TargetMessage.
  std::string domain;
};

// Measures a migration for its progress, and for how fast it may go.
class ProgressMeter {
 public:
  // `clock` outlives this object.
  explicit ProgressMeter(Clock* clock) : clock_(*clock) {}

  // The head has been sent, and the first pass begins.
  void StartCopying();
  // A pass has ended, and the guest may be suspended from now on.
  void StartPass();
  void Sent(size_t bytes) { bytes_sent_ += bytes; }

  // Since the first pass began.
  uint64_t BytesPerSecond() const;
  // When no more than this will have been sent in a second since then.
  Clock::Time WhenPaced(uint64_t bytes_per_second) const;
  // Since the pass began that came after the guest was suspended.
  uint64_t DowntimeMs() const { return MillisecondsSince(pass_since_); }

  // Fills in what is known; `precopy` may be null.
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
