// The operations of the vector replay: for each, the keys of its step and the
// function that runs it.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_OPERATIONS_H_
#define SIMVISOR_TESTS_VECTORS_OPERATIONS_H_

#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace simvisor {

using Json = nlohmann::json;

// Fails the test because a step cannot be replayed.  Returns what
// Operations::Run() returns then.
Json CannotReplay(absl::string_view why);

// Fails the test if `object` has a key that `keys` does not name, or lacks one
// that it names without a question mark: "start end mfn?".  Returns whether the
// keys are right.
bool HasKeys(const Json& object, absl::string_view keys);

class Operations {
 public:
  // `keys` are those of a step besides `op`, `expect` and `note`, in the form
  // of HasKeys().  The subject must outlive this.
  template <typename Subject>
  void Add(const std::string& op, const std::string& keys, Subject* subject,
           Json (Subject::*run)(const Json& step)) {
    operations_[op] = {keys, [subject, run](const Json& step) {
                         return (subject->*run)(step);
                       }};
  }

  // Runs one step and returns its result; if it cannot be replayed, the test
  // fails and the result is `discarded`.
  Json Run(const Json& step) const;

 private:
  struct Operation {
    std::string keys;
    std::function<Json(const Json&)> run;
  };

  std::map<std::string, Operation> operations_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_OPERATIONS_H_
