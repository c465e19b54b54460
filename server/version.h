// The version of the daemon, MAJOR.MINOR.PATCH, as the build states it.
//
// Thread safety: a constant.

#ifndef SIMVISOR_SERVER_VERSION_H_
#define SIMVISOR_SERVER_VERSION_H_

namespace simvisor::server {

inline constexpr char kVersion[] = SIMVISOR_VERSION;

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_VERSION_H_
