// Ids that no other program chooses.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_CLIENT_API_RANDOM_ID_H_
#define SIMVISOR_CLIENT_API_RANDOM_ID_H_

#include <string>

namespace simvisor::client {

// 128 random bits of the system, as 32 lower-case hexadecimal digits.
std::string RandomId();

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_RANDOM_ID_H_
