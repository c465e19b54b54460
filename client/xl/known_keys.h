// The keys that a config may assign, and whether they have an effect here.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_KNOWN_KEYS_H_
#define SIMVISOR_CLIENT_XL_KNOWN_KEYS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// True iff some version of xl, its predecessor xm, or Simvisor has a key of
// this name.
bool IsKnownKey(absl::string_view name);

// True iff the key has an effect on a domain here.
bool HasEffect(absl::string_view name);

// The known key that `name` most likely misspells; empty if no key is close
// enough.
std::string NearestKey(absl::string_view name);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_KNOWN_KEYS_H_
