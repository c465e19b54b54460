// How many pages a domain has, may have and is to have.
//
// This is the hypervisor's ledger.  Other code, above all the guest's balloon
// driver, asks for `current` and keeps no count of its own.  The target is the
// toolstack's (memory/target).  The driver has a target of its own, since it
// may have given this one up, or not read it yet.
//
// `current` is what the guest has.  The hypervisor also counts frames that are
// held for other domains' mappings; callers pass their number as `held`.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_VM_RESERVATION_H_
#define SIMVISOR_DOMAIN_VM_RESERVATION_H_

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "domain/collections/state_codec.h"
#include "domain/units/abi.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

class Reservation {
 public:
  // The ledger of a domain without pages.
  Reservation(PageCount max_pages, PageCount static_max, PageCount target)
      : max_pages_(max_pages), static_max_(static_max), target_(target) {}

  PageCount current() const { return current_; }
  PageCount max_pages() const { return max_pages_; }
  PageCount static_max() const { return static_max_; }
  PageCount target() const { return target_; }

  // Pages that the hypervisor would still give to a domain with `held` pages
  // beside its guest's: up to max_pages, and up to static-max, which a target
  // that follows must not exceed.
  PageCount Room(PageCount held) const;
  // RESOURCE_EXHAUSTED MAX_MEM_EXCEEDED if Room() is less than `pages`.  For
  // `most` see SetTarget().
  absl::Status CheckRoom(const Context& context, PageCount pages,
                         PageCount held,
                         std::optional<PageCount> most = std::nullopt) const;
  // Pages that domain `id` has above what libxl must leave it: kMinDom0Memory
  // for dom0.
  PageCount AboveLeast(DomainId id) const;
  // INVALID_ARGUMENT MEMORY_SIZE_INVALID if this is dom0 and `left` is less
  // than kMinDom0Memory.  `details`, called only then, says what was asked.
  static absl::Status CheckDom0Keeps(const Context& context, PageCount left,
                                     absl::FunctionRef<std::string()> details);

  // Count pages that came or went.
  // REQUIRES: the count does not wrap.
  void Gained(PageCount pages);
  void Lost(PageCount pages);

  // Sets the target, and max_pages to 1 MiB more.  `most`: pages that the guest
  // has pfns for, if that is known; an error then advises what helps.
  // INVALID_ARGUMENT MEMORY_SIZE_INVALID (0; dom0: below kMinDom0Memory),
  // STATIC_MAX_EXCEEDED.  Source: libxl_set_memory_target().
  absl::Status SetTarget(const Context& context, PageCount target,
                         std::optional<PageCount> most = std::nullopt);
  // Sets static-max, and max_pages to 1 MiB more.
  // INVALID_ARGUMENT MAX_MEM_BELOW_TARGET, MEMORY_SIZE_INVALID (more than a
  // domain of that ABI can have).  Source: libxl_domain_setmaxmem().
  absl::Status SetMaximum(const Context& context, PageCount max_memory,
                          const Abi& abi);
  // Sets the target to what the guest has.
  void TargetFollows() { target_ = current_; }
  // Lowers the target after `released` of `before` pages went back without the
  // driver's doing, so that the driver does not ask for them again.  A target
  // that was lower stays.
  // REQUIRES: released <= before.
  void TargetDropsBy(PageCount released, PageCount before);

  // Takes over target, static-max and max_pages of `other`; `current` stays.
  void TakeLimits(const Reservation& other);

  // Encode() writes what a saved guest notes, and Decode() makes a ledger
  // without pages of it.  Decode() fails `in` unless a domain of `abi` can have
  // these figures, which are meaningless then.
  void Encode(StateWriter& out) const;
  static Reservation Decode(StateReader& in, const Abi& abi);

 private:
  PageCount current_;
  PageCount max_pages_;
  PageCount static_max_;
  PageCount target_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_RESERVATION_H_
