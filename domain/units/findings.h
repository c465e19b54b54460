// What an audit finds wrong with one domain, in sentences.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_UNITS_FINDINGS_H_
#define SIMVISOR_DOMAIN_UNITS_FINDINGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "domain/units/units.h"

namespace simvisor {

class Findings {
 public:
  // Appends to `out`, which must outlive it.
  Findings(DomainId id, std::vector<std::string>& out) : id_(id), out_(out) {}

  // "domain 3: WHAT"
  void Add(absl::string_view what) {
    out_.push_back(absl::StrCat("domain ", id_.value(), ": ", what));
  }
  // The message of a check that failed; nothing if it is OK.
  void Add(const absl::Status& check) {
    if (!check.ok()) {
      Add(absl::string_view(check.message().data(), check.message().size()));
    }
  }

 private:
  DomainId id_;
  std::vector<std::string>& out_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_FINDINGS_H_
