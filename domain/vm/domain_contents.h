// What a domain's pages and frames hold: its guest's writes, and the pages of
// its p2m list and of its page tables, whose content is computed.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_CONTENTS_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_CONTENTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

class Domain;

class DomainContents {
 public:
  explicit DomainContents(Domain& domain) : domain_(domain) {}

  // Copy guest memory out and in, from byte `offset` of page `pfn` on; may span
  // pages.
  // FAILED_PRECONDITION PFN_NOT_RAM, PAGE_IN_USE_BY_KERNEL (write);
  // INVALID_ARGUMENT RANGE_INVALID (offset beyond the page, nothing to copy);
  // RESOURCE_EXHAUSTED GUEST_CONTENTS_EXHAUSTED, DAEMON_MEMORY_EXHAUSTED
  // (write): see PageStore::Take().
  absl::Status Read(Pfn pfn, uint64_t offset, absl::Span<char> out) const;
  absl::Status Write(const Operation& operation, Pfn pfn, uint64_t offset,
                     absl::string_view data) const;

  // Copies the content of a frame of this domain.  Sets *zero instead of
  // filling `page` (kPageSize bytes) if every byte is 0.  FAILED_PRECONDITION
  // FRAME_NOT_READABLE if the frame is not the domain's.
  absl::Status ReadFrame(Mfn mfn, absl::Span<char> page, bool* zero) const;

 private:
  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_CONTENTS_H_
