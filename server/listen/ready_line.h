// The line that tells a program that has started the daemon that it is serving.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_LISTEN_READY_LINE_H_
#define SIMVISOR_SERVER_LISTEN_READY_LINE_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "server/listen/listen_address.h"

namespace simvisor::server {

// A JSON object on one line, newline included:
// {"ready":true,"pid":N,"addresses":["unix:/...","127.0.0.1:41234"],
//  "version":"0.1.0"}, without the space.
std::string ReadyLine(pid_t pid, const std::vector<ListenAddress>& addresses);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_READY_LINE_H_
