// The source's half of a live migration: copies a guest while it runs, pass by
// pass, then suspends it and sends the rest.
//
// A pull interface without threads or clocks: the caller asks for pieces and
// sends them, and at the end of each pass it says how fast they went.
//
//   head, pass 1 of all pfns, ... pass n, suspended, last pass, end
//
// The layout of the p2m list must not change meanwhile, because the target
// learns the list's pages at the beginning.  Xen checks that for the linear
// list; here the tree is checked too, where Xen would continue with stale
// mappings.  Source: send_memory_live(), suspend_and_send_dirty() in
// xg_sr_save.c.
//
// The destructor turns the log off.  A guest that this object has suspended
// stays suspended; the caller resumes or destroys it.
//
// Thread safety: one thread at a time; the domain may be used meanwhile.

#ifndef SIMVISOR_DOMAIN_MIGRATION_PRECOPY_H_
#define SIMVISOR_DOMAIN_MIGRATION_PRECOPY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/image/image_saver.h"
#include "domain/migration/precopy_policy.h"
#include "domain/vm/domain.h"

namespace simvisor {

class Precopy {
 public:
  // Turns the domain's log on.  Errors as for DomainMigration::StartLogDirty().
  // `config` goes into the image's xl layer.
  static absl::StatusOr<std::unique_ptr<Precopy>> Begin(
      std::shared_ptr<Domain> domain, const PrecopyPolicy& policy,
      std::string config);

  Precopy(const Precopy&) = delete;
  Precopy& operator=(const Precopy&) = delete;
  ~Precopy();

  // Appends the next piece; see ImageSaver::Next().
  absl::Status Next(std::string& out, StopCheck stop = NeverStop) {
    return saver_.Next(out, stop);
  }
  // Whether Next() has returned everything before the pages.
  bool head_done() const { return saver_.head_done(); }
  bool pass_done() const { return saver_.pass_done(); }
  bool done() const { return saver_.done(); }

  // Decides what comes after a pass, given the speed measured so far: another
  // pass, or suspending the guest for the last one.
  // REQUIRES: pass_done().
  //
  // ABORTED P2M_CHANGED, DOWNTIME_EXCEEDED; errors of
  // DomainMigration::Suspend(), which gets `stop`.
  absl::Status Turn(uint64_t bytes_per_second, StopCheck stop = NeverStop);
  bool suspended() const { return suspension_ != 0; }
  // The number of the suspension, for DomainMigration::Resume(); 0 if the guest
  // was not suspended yet.
  uint64_t suspension() const { return suspension_; }

  // The current pass, from 1; the stop-and-copy pass counts as one more.
  uint32_t pass() const { return stats_.passes + 1; }
  PageCount pages() const { return guest_.pages; }
  PageCount pages_sent() const { return saver_.pages_sent(); }
  PageCount pass_done_pfns() const { return saver_.pfns_done(); }
  PageCount pass_total_pfns() const { return saver_.pfns_total(); }
  // See Converges(); of the last pass that was sent completely.
  bool converges() const { return converges_; }
  PageCount dirty() const { return domain_->migration().PeekLogDirty(); }

 private:
  Precopy(std::shared_ptr<Domain> domain, const LiveGuest& guest,
          const PrecopyPolicy& policy, std::string config);

  absl::Status CheckLayout(uint64_t generation, Pfn last_pfn) const;
  absl::Status Suspend(StopCheck stop);

  const std::shared_ptr<Domain> domain_;
  const LiveGuest guest_;
  const PrecopyPolicy policy_;
  ImageSaver saver_;
  PrecopyStats stats_;
  bool converges_ = true;
  bool last_live_pass_ = false;
  uint64_t suspension_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_MIGRATION_PRECOPY_H_
