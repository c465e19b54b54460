// Two ends of a unix stream connection.

#ifndef SIMVISOR_TESTS_SERVER_LISTEN_CONNECTED_PAIR_H_
#define SIMVISOR_TESTS_SERVER_LISTEN_CONNECTED_PAIR_H_

#include <sys/socket.h>

#include <utility>

#include "gtest/gtest.h"
#include "server/listen/unique_fd.h"

namespace simvisor::server {

inline std::pair<UniqueFd, UniqueFd> ConnectedPair() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SERVER_LISTEN_CONNECTED_PAIR_H_
