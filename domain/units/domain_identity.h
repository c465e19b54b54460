// Which domain it is: its id, which never changes, and its name, which may.
//
// Thread safety: any thread.  The lock is a leaf, so that the host can rename a
// domain without waiting for what is at work on it.

#ifndef SIMVISOR_DOMAIN_UNITS_DOMAIN_IDENTITY_H_
#define SIMVISOR_DOMAIN_UNITS_DOMAIN_IDENTITY_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "domain/units/units.h"

namespace simvisor {

// "web (3)", or "domain 3" without a name.
std::string DomainText(absl::string_view name, DomainId id);

class DomainIdentity {
 public:
  DomainIdentity(DomainId id, absl::string_view name) : id_(id), name_(name) {}

  DomainId id() const { return id_; }
  std::string name() const ABSL_LOCKS_EXCLUDED(mu_);
  // Does not allocate.
  void Rename(std::string name) ABSL_LOCKS_EXCLUDED(mu_);
  // As messages name the domain; see DomainText().
  std::string ToString() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const DomainId id_;
  mutable absl::Mutex mu_;
  std::string name_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_DOMAIN_IDENTITY_H_
