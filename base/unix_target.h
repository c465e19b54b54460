// The names by which gRPC calls sockets of the local machine.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BASE_UNIX_TARGET_H_
#define SIMVISOR_BASE_UNIX_TARGET_H_

#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// gRPC takes a comma for the end of a path, however it is written, so no
// address may have one.
inline constexpr absl::string_view kCommaInPath =
    "a socket's path must not have a comma, where gRPC would end it";

// "unix:PATH" as a gRPC target, which is a URI: any byte of `path` that would
// mean something else in one is written as %XX.
std::string UnixTarget(absl::string_view path);

}  // namespace simvisor

#endif  // SIMVISOR_BASE_UNIX_TARGET_H_
