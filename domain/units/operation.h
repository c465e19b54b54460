// What a caller asks of a domain, and the errors that refuse it.
//
// A call that changes a domain and can be refused takes an Operation.  The
// domain makes a Context of its identity, and each refusal begins with the
// domain and with what was asked of it: "web (3): balloon down by 5 pages:
// TEXT".
//
// Thread safety: plain values.

#ifndef SIMVISOR_DOMAIN_UNITS_OPERATION_H_
#define SIMVISOR_DOMAIN_UNITS_OPERATION_H_

#include <initializer_list>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "domain/units/change_waiter.h"
#include "domain/units/domain_identity.h"
#include "domain/units/units.h"

namespace simvisor {

// Lives on the caller's stack for one call.
struct Operation {
  // Its name in messages: "balloon down".  Must outlive the call.
  absl::string_view name;
  StopCheck stop = NeverStop;
  // Whether a change may wait for secondary MMUs until their leases end.  If
  // not, it fails with ABORTED SECONDARY_MMU_BUSY, and has changed nothing,
  // unless all answer within `grace`.
  bool may_wait = true;
  absl::Duration grace = absl::Milliseconds(5);
  // Waits for turns and answers; null: the machine's (HostConfig::waiter).
  ChangeWaiter* waiter = nullptr;
};

// The domain and the operation that messages are about.
class Context {
 public:
  // Both must outlive it.
  Context(const DomainIdentity& domain, absl::string_view operation)
      : domain_(&domain), operation_(operation) {}

  DomainId id() const { return domain_->id(); }
  const DomainIdentity& domain() const { return *domain_; }
  absl::string_view operation() const { return operation_; }
  // The same domain with another name for the operation.
  Context As(absl::string_view operation) const {
    return {*domain_, operation};
  }

  // "web (3): balloon down by 5 pages: TEXT", for the details "by 5 pages";
  // details and text may be empty.  Domain and operation become facts.
  // REQUIRES: `code` is not kOk.
  absl::Status Refuse(absl::StatusCode code, Reason reason,
                      absl::string_view details, absl::string_view text,
                      std::initializer_list<Fact> facts = {}) const;
  // "web (3): balloon down: ", and the message of `status`, whose reason and
  // facts stay.
  // REQUIRES: `status` is not OK.
  absl::Status Within(const absl::Status& status) const;

 private:
  void AddFacts(absl::string_view name, absl::Status& status) const;

  const DomainIdentity* domain_;
  absl::string_view operation_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_OPERATION_H_
