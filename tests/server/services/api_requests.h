// What tests of the services ask for.

#ifndef SIMVISOR_TESTS_SERVER_SERVICES_API_REQUESTS_H_
#define SIMVISOR_TESTS_SERVER_SERVICES_API_REQUESTS_H_

#include <cstdint>
#include <limits>

namespace simvisor::server {

inline constexpr uint64_t kPages = 16384;  // 64 MiB, of most guests here
inline constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();

// A request about this domain.
template <typename Request>
Request For(uint32_t domid) {
  Request request;
  request.mutable_domain()->set_domid(domid);
  return request;
}

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SERVER_SERVICES_API_REQUESTS_H_
