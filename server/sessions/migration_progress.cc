#include "server/sessions/migration_progress.h"

#include <algorithm>
#include <chrono>

namespace simvisor::server {

void ProgressMeter::StartCopying() {
  head_bytes_ = bytes_sent_;
  copying_since_ = clock_.Now();
  pass_since_ = copying_since_;
}

void ProgressMeter::StartPass() { pass_since_ = clock_.Now(); }

uint64_t ProgressMeter::MillisecondsSince(Clock::Time start) const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() -
                                                               start)
      .count();
}

uint64_t ProgressMeter::BytesPerSecond() const {
  const std::chrono::duration<double> seconds = clock_.Now() - copying_since_;
  // Avoids a division by zero: an empty pass takes almost no time.
  return static_cast<uint64_t>(static_cast<double>(bytes_sent_ - head_bytes_) /
                               std::max(seconds.count(), 1e-6));
}

Clock::Time ProgressMeter::WhenPaced(uint64_t bytes_per_second) const {
  const double seconds = static_cast<double>(bytes_sent_ - head_bytes_) /
                         static_cast<double>(bytes_per_second);
  return copying_since_ + std::chrono::duration_cast<Clock::Time::duration>(
                              std::chrono::duration<double>(seconds));
}

void ProgressMeter::Fill(const Precopy* precopy,
                         MigrationProgress& progress) const {
  progress.bytes_sent = bytes_sent_;
  if (precopy == nullptr || progress.phase == MigrationPhase::kAdmission) {
    return;
  }
  const uint64_t done = precopy->pass_done_pfns().value();
  const uint64_t total = precopy->pass_total_pfns().value();
  progress.pass = precopy->pass();
  progress.pass_pfns_done = done;
  progress.pass_pfns_total = total;
  progress.data_pages = precopy->pages_sent().value();
  progress.dirty_pages = precopy->dirty().value();
  progress.converges = precopy->converges();
  progress.bytes_per_second = BytesPerSecond();
  const uint64_t in_pass = MillisecondsSince(pass_since_);
  progress.pass_left_ms = done == 0 ? 0 : in_pass * (total - done) / done;
  if (precopy->suspended()) {
    progress.downtime_ms = MillisecondsSince(pass_since_);
  }
}

}  // namespace simvisor::server
