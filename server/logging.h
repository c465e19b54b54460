// The daemon's log: goes to stderr and includes gRPC's own messages.  A message
// is one line; characters that a terminal obeys or does not show are escaped
// (base/printable.h).  A line that would have to wait for the reader of a pipe
// or a terminal is left out; the next line that is written says how many were.
//
// Thread safety: InitLogging() is called once, before there are other threads.

#ifndef SIMVISOR_SERVER_LOGGING_H_
#define SIMVISOR_SERVER_LOGGING_H_

#include <spdlog/common.h>

namespace simvisor::server {

void InitLogging(spdlog::level::level_enum level);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LOGGING_H_
