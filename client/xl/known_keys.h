// The keys that a config may assign, and whether they do anything here.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_KNOWN_KEYS_H_
#define SIMVISOR_CLIENT_XL_KNOWN_KEYS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// True iff some version of xl, xm before it, or Simvisor has a key of this
// name.
bool IsKnownKey(absl::string_view name);

// True iff the key makes a difference to a domain here.
bool HasEffect(absl::string_view name);

// The known key that `name` is most likely a slip of the pen for; empty if none
// is near.
std::string NearestKey(absl::string_view name);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_KNOWN_KEYS_H_
