// The load of a domain's guest: a program that writes to pages of its own; see
// GuestLoad.
//
// All methods except Start() fail with FAILED_PRECONDITION GUEST_LOAD_NOT_FOUND
// if the guest has no load.
//
// Thread safety: any thread; see Domain.

#ifndef SIMVISOR_DOMAIN_VM_DOMAIN_LOAD_H_
#define SIMVISOR_DOMAIN_VM_DOMAIN_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/guest/guest_load.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

class Domain;

class DomainLoad {
 public:
  explicit DomainLoad(Domain& domain) : domain_(domain) {}

  // Starts a load, and returns it.  Its working set comes from the guest's free
  // pages, zeroed; a rate or a working set of 0 in `spec` is replaced by one
  // that fits, see LoadSpec::FitTo().
  // FAILED_PRECONDITION DOMAIN_NOT_RUNNING, GUEST_LOAD_RUNNING;
  // INVALID_ARGUMENT RANGE_INVALID (see LoadSpec); RESOURCE_EXHAUSTED
  // GUEST_MEMORY_EXHAUSTED.
  absl::StatusOr<LoadReport> Start(const Operation& operation,
                                   const LoadSpec& spec) const;
  // Does the next `writes` writes, or fewer if the guest does not run, and
  // returns how many.  When `stop` ends the call, earlier writes stay; likewise
  // when there is no room for what a page is to hold (RESOURCE_EXHAUSTED as for
  // DomainContents::Write()), and that write remains the next one.  Lets other
  // calls go in between.
  absl::StatusOr<uint64_t> Run(const Operation& operation,
                               uint64_t writes) const;
  // Ends the load, and gives its pages back to the guest, zeroed.
  absl::StatusOr<LoadReport> Stop(const Operation& operation) const;

  absl::StatusOr<LoadReport> Find() const;
  // Like Find(), and sets `extents` to where the load's pages lie, from page
  // `first` on, at most `most` extents.
  absl::StatusOr<LoadReport> ListPages(uint64_t first, size_t most,
                                       std::vector<PfnExtent>& extents) const;
  // Compares each page with what it must hold after the writes so far.  Lets
  // the load and other calls go on in between.
  absl::StatusOr<LoadCheck> Check(const Operation& operation) const;

 private:
  Domain& domain_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_DOMAIN_LOAD_H_
