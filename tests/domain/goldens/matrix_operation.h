// One operation of the matrix, and what operations have in common.
//
// Thread safety: plain values.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_OPERATION_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_OPERATION_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/error.h"
#include "tests/domain/goldens/golden_text.h"
#include "tests/domain/goldens/matrix_scene.h"

namespace simvisor {

struct MatrixOperation {
  std::string name;
  std::function<Outcome(Scene&)> run;
};
using MatrixOperations = std::vector<MatrixOperation>;

// A StopCheck that stops at the first call.
inline absl::Status StopNow() {
  return MakeError(absl::StatusCode::kCancelled, Reason::kCancelled, "stopped");
}

// Several calls in a row; each is made whatever the previous one returned.
inline Outcome Joined(const std::vector<Outcome>& outcomes) {
  Outcome joined;
  for (const Outcome& outcome : outcomes) {
    absl::StrAppend(&joined.text, joined.text.empty() ? "" : "; then ",
                    outcome.text);
    joined.messages.insert(joined.messages.end(), outcome.messages.begin(),
                           outcome.messages.end());
  }
  return joined;
}

// The outcome of an operation that this state has no object for.
inline Outcome NotThere(const char* what) {
  return {absl::StrCat("(no ", what, ")"), {}};
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_OPERATION_H_
