// The balloon of a guest: its driver, the pfns in it, the pfns lent out of it,
// and when the driver works.
//
// It keeps no count of the guest's pages: the hypervisor does, and callers pass
// it as `current`.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_BALLOON_BALLOON_H_
#define SIMVISOR_DOMAIN_BALLOON_BALLOON_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "domain/balloon/balloon_driver.h"
#include "domain/balloon/balloon_list.h"
#include "domain/balloon/balloon_policy.h"
#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

// The timer of a guest's balloon driver.
struct BalloonTimer {
  // How often the driver has woken; it sets the timer again each time.
  uint64_t wakeups = 0;
  // Seconds from that wake-up until it wakes by itself; nullopt if it does not.
  std::optional<uint32_t> seconds;
};

class Balloon {
 public:
  Balloon(const Abi& abi, uint32_t max_retry)
      : list_(Pfn(abi.low_memory_pages)), driver_(abi, max_retry) {}

  BalloonList& list() { return list_; }
  const BalloonList& list() const { return list_; }
  const BalloonDriver& driver() const { return driver_; }
  // pfns of the balloon that are lent out to mappings of foreign frames.
  const PfnSet& lent() const { return lent_; }
  // Pages in the balloon, including pages on their way into it.
  PageCount size() const { return list_.size() + entering_; }

  // Starts the driver at boot of a guest with `current` pages.
  void Start(PageCount current) { driver_.Start(current); }

  // Notes that the toolstack has written its target, which the guest reads when
  // it runs.  A guest that boots or comes out of an image reads it in any case.
  void TargetWritten() { target_unread_ = true; }
  bool target_unread() const { return target_unread_; }
  // Has the guest read the toolstack's target, if it has not yet.  Returns
  // whether the driver must work now: because the target wakes it, because its
  // timer ran out while the guest was paused, or because its last round was
  // stopped.
  bool ReadTarget(PageCount target, PageCount current);
  // Gives the driver a target by hand.
  void SetTarget(PageCount target, PageCount current) {
    driver_.SetTarget(target, current);
  }
  // See BalloonDriver::TargetDropsBy().
  void TargetDropsBy(PageCount released, PageCount before) {
    driver_.TargetDropsBy(released, before);
  }

  // Begin a wake-up of the driver, and say what its next round moves.  The
  // caller runs rounds until one is not kDone or nothing is left to move.
  void BeginWakeUp();
  BalloonDriver::Round NextRound(PageCount current) const;
  // See BalloonDriver; `current` is what the guest has after the round.
  BalloonState EndRound(const BalloonDriver::Round& round, PageCount moved,
                        const BalloonDriver::Spare& spare, PageCount current) {
    return driver_.EndRound(round, moved, spare, Now(current));
  }
  // Ends a round that was stopped from outside; the driver goes on later if
  // there is credit.
  void StopRound(const BalloonDriver::Round& round, PageCount moved,
                 PageCount current);
  // Lets the driver go on later, as after a round that was stopped.
  void WorkLater() { stopped_ = true; }
  // Notes that `pages` have left the guest and are not in the list yet.
  void Entering(PageCount pages) { entering_ += pages; }
  // Puts the pages of all calls of Entering() into the list; see
  // BalloonList::PushTaken().
  void Enter(absl::Span<const PfnExtent> taken);

  // When the driver wakes by itself.
  BalloonTimer timer(PageCount current) const;
  // Whether `timer` is the present one, and the driver has not yet got all that
  // it wants.
  bool IsDue(const BalloonTimer& timer, PageCount current) const;
  // Notes that the timer ran out while the guest was paused.
  void MissWakeUp() { overdue_ = true; }

  // Lends out the pfns of `pfns` that are in the list.
  void Lend(const PfnSet& pfns);
  // Takes `pfn` back into the list if it was lent out.
  void TakeBack(Pfn pfn);
  void ForgetLent() { lent_.Clear(); }

  // Encode() writes what a saved guest notes about its balloon.  Decode() reads
  // it into an empty balloon, and fails `in` unless a guest can have such a
  // balloon; see BalloonList and BalloonDriver.  With `less_room`, the notes
  // are of a driver that took the first few of these regions off its figures,
  // and whose list had no batches.
  void Encode(StateWriter& out) const;
  void Decode(StateReader& in, Pfn end, const BalloonDriver::Restored& restored,
              std::optional<absl::Span<const PfnExtent>> less_room,
              BalloonList::MayHold may_hold);

 private:
  BalloonDriver::Pages Now(PageCount current) const {
    return {current, list_.size(), lent_.size()};
  }

  BalloonList list_;
  BalloonDriver driver_;
  PfnSet lent_;
  PageCount entering_;
  uint64_t wakeups_ = 0;
  bool overdue_ = false;  // its timer has run out, and the guest was paused
  bool stopped_ = false;  // its last round was stopped from outside
  bool target_unread_ = true;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BALLOON_BALLOON_H_
