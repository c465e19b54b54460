// The invariants of a domain, checked while it is held still:
//   (1) a RAM word's frame is owned by the domain, is one that its guest can
//       reach, and its m2p entry points back;
//   (2) pages = RAM words + frames in no word + frames held for other domains'
//       mappings of them;
//   (3) a page of the list's own structure, of an address space, or of the
//       guest's load is RAM, is not free, and has only one of these uses;
//   (4) the guest's free pages are RAM, and the balloon's pfns are INVALID;
//   (5) every PMD entry that the tables of a process have for the p2m area
//       equals the list's;
//   (6) the balloon driver of a running guest works towards the target, unless
//       an empty balloon made it give the target up, or a change that drives
//       it waits for secondary MMUs;
//   (7) a foreign word's frame is another domain's;
//   (8) every page of a guest's RAM above the first MiB is free, in use as (3)
//       says, or the kernel's for what is not simulated.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_AUDIT_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_AUDIT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "domain/units/units.h"

namespace simvisor {

class Domain;
class FramePool;
class Parts;

// The results of audits of domains so far.
struct DomainAuditTotals {
  std::vector<std::string> findings;      // one sentence for each
  uint64_t words = 0;                     // RAM words looked at
  PageCount pages;                        // that domains own or hold
  absl::btree_map<Mfn, uint64_t> mapped;  // foreign words by frame
};

class DomainAudit {
 public:
  explicit DomainAudit(const Domain& domain) : domain_(domain) {}

  // Hold the domain still, for the host, which does so with all domains at
  // once; looks go on.  The lock analysis cannot follow locks of a list of
  // domains.
  void Lock() const;
  bool TryLock() const;
  void Unlock() const;

  // Adds this domain.
  // REQUIRES: the caller holds Lock().
  void Check(DomainAuditTotals& totals) const;

 private:
  void CheckParts(const Parts& on, DomainAuditTotals& totals) const;

  const Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_AUDIT_H_
