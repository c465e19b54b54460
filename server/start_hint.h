// What the daemon tells a person who has started it.
//
// Thread safety: pure functions, except that StartHint() looks at files.

#ifndef SIMVISOR_SERVER_START_HINT_H_
#define SIMVISOR_SERVER_START_HINT_H_

#include <cstddef>
#include <string>
#include <vector>

namespace simvisor::server {

// Lines that say what to type next, in a second terminal, to use a daemon that
// was started as `program` and can be reached at `address`; empty if a client
// looks there without an option.
//
// The CLI is named by its path if it lies next to a program that was named by
// its path, and an example by its own if it is below the current folder.
std::string StartHint(const std::string& program, const std::string& address);

// "web (3), db (4) and 12 more"; at most `most` of `names`.
// REQUIRES: `names` is not empty.
std::string ListNames(const std::vector<std::string>& names, size_t most);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_START_HINT_H_
