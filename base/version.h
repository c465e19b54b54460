// The version of the daemon and the CLI, MAJOR.MINOR.PATCH, as set by the
// build.
//
// Thread safety: a constant.

#ifndef SIMVISOR_BASE_VERSION_H_
#define SIMVISOR_BASE_VERSION_H_

namespace simvisor {

extern const char kVersion[];

}  // namespace simvisor

#endif  // SIMVISOR_BASE_VERSION_H_
