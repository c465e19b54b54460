// The bytes of HTTP/2 that gRPC clients and servers send.

#ifndef SIMVISOR_TESTS_SERVER_LISTEN_HTTP2_TESTING_H_
#define SIMVISOR_TESTS_SERVER_LISTEN_HTTP2_TESTING_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace simvisor::server {

constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kReset = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kEnd = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr uint8_t kPadded = 8;

inline std::string Preface() { return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; }

inline std::string Frame(uint8_t kind, uint8_t flags, uint32_t stream,
                         const std::string& payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string frame;
  for (const int shift : {16, 8, 0}) {
    frame += static_cast<char>(size >> shift);
  }
  frame += static_cast<char>(kind);
  frame += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) {
    frame += static_cast<char>(stream >> shift);
  }
  return frame + payload;
}

// The prefix of a message of `size` bytes.
inline std::string Prefix(uint32_t size) {
  std::string prefix(1, '\0');
  for (const int shift : {24, 16, 8, 0}) {
    prefix += static_cast<char>(size >> shift);
  }
  return prefix;
}

inline std::string Message(size_t size) {
  return Prefix(static_cast<uint32_t>(size)) + std::string(size, 'x');
}

inline absl::Span<const uint8_t> BytesOf(const std::string& text) {
  return absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(text.data()),
                             text.size());
}

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SERVER_LISTEN_HTTP2_TESTING_H_
