// The interface through which a walk of a p2m list reads the machine.
//
// Thread safety: as the implementation says.

#ifndef SIMVISOR_CLIENT_WALK_FRAME_READER_H_
#define SIMVISOR_CLIENT_WALK_FRAME_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace simvisor::client {

// Bytes in a frame.
inline constexpr uint64_t kFrameBytes = 4096;

class FrameReader {
 public:
  virtual ~FrameReader() = default;

  // The contents of `mfns` in their order, kFrameBytes each.
  virtual absl::StatusOr<std::vector<std::string>> ReadFrames(
      absl::Span<const uint64_t> mfns) = 0;

  // The m2p entries of `mfns` in their order; nullopt for a frame without one.
  virtual absl::StatusOr<std::vector<std::optional<uint64_t>>> LookupPfns(
      absl::Span<const uint64_t> mfns) = 0;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_FRAME_READER_H_
