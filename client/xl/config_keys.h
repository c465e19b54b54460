// The keys of xl.cfg: which are assigned in a file, and what they are to us.
//
// libxlutil answers questions about keys but does not list them, so a scanner
// of our own finds the names.  It follows libxlutil's grammar: a statement
// begins after a newline or ';' outside of brackets, '#' begins a comment, and
// strings stand in either kind of quotes.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_CONFIG_KEYS_H_
#define SIMVISOR_CLIENT_XL_CONFIG_KEYS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// Our own key: DomainSpec.memory_hotplug_limit_gib.
inline constexpr char kHotplugLimitKey[] = "simvisor_hotplug_limit";
// Our own key: DomainSpec.balloon_max_retry.
inline constexpr char kBalloonMaxRetryKey[] = "simvisor_balloon_max_retry";

struct AssignedKey {
  std::string name;
  int line = 0;  // from 1
};

// The names at the beginning of the statements of `text`, in order.  A text
// that is no valid config gives some list of names.
std::vector<AssignedKey> FindAssignedKeys(absl::string_view text);

// True iff xl, or Simvisor, has a key of this name.
bool IsKnownKey(absl::string_view name);

// The known key that `name` is most likely a slip of the pen for; empty if none
// is near.
std::string NearestKey(absl::string_view name);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_CONFIG_KEYS_H_
