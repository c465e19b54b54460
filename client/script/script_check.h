// Finds what is wrong with a script before its first call.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_CHECK_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_CHECK_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "simvisor/v1/script.pb.h"

namespace simvisor::client {

// Bounds of Poll.
inline constexpr uint32_t kMaxPollTimeoutMs = 24 * 60 * 60 * 1000;
inline constexpr uint32_t kMinPollIntervalMs = 10;
inline constexpr uint32_t kMaxPollIntervalMs = 60 * 1000;
inline constexpr uint32_t kDefaultPollIntervalMs = 100;

// The interval of `poll`, or the default.
absl::Duration IntervalOf(const v1::Poll& poll);

// A step among those of a script.
struct StepPlace {
  bool cleanup = false;
  int index = 0;  // from 0

  // "step 3" or "cleanup step 1".
  std::string ToString() const;
};

struct ScriptFault {
  StepPlace place;
  std::string text;
};

// Steps whose text could not be parsed: empty in the script, and not checked.
struct UnreadSteps {
  std::set<int> steps;  // indices
  std::set<int> cleanup;
  // Variables that they may save.
  std::set<std::string> names;

  bool Has(const StepPlace& place) const {
    const std::set<int>& indices = place.cleanup ? cleanup : steps;
    return indices.contains(place.index);
  }
};

// The faults of all steps but the unread, several of a step if they do not
// depend on each other.
std::vector<ScriptFault> FindScriptFaults(const v1::Script& script,
                                          const UnreadSteps& unread = {});

// Adds the variables that a step uses, in strings or by `set`, to `names`.
// INVALID_ARGUMENT for a malformed use.
// REQUIRES: a call is set.
absl::Status FindUses(const v1::Step& step, std::set<std::string>& names);

// The step that saves `variable`.
// REQUIRES: a step does.
StepPlace FindSaver(const v1::Script& script, absl::string_view variable);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_SCRIPT_CHECK_H_
