// The version of the daemon and the CLI, MAJOR.MINOR.PATCH, as the build states
// it.
//
// Thread safety: a constant.

#ifndef SIMVISOR_BASE_VERSION_H_
#define SIMVISOR_BASE_VERSION_H_

namespace simvisor {

extern const char kVersion[];

}  // namespace simvisor

#endif  // SIMVISOR_BASE_VERSION_H_
