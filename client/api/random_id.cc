#include "client/api/random_id.h"

#include <cstdint>
#include <random>

#include "absl/strings/str_format.h"

namespace simvisor::client {

std::string RandomId() {
  std::random_device device;
  std::uniform_int_distribution<uint64_t> draw;
  const uint64_t high = draw(device);
  return absl::StrFormat("%016x%016x", high, draw(device));
}

}  // namespace simvisor::client
