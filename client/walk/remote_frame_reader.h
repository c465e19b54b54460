// A FrameReader over the daemon's HostService.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_WALK_REMOTE_FRAME_READER_H_
#define SIMVISOR_CLIENT_WALK_REMOTE_FRAME_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/api/client.h"
#include "client/walk/frame_reader.h"

namespace simvisor::client {

class RemoteFrameReader : public FrameReader {
 public:
  // `client` must outlive the reader.
  explicit RemoteFrameReader(const Client& client) : client_(client) {}

  // INTERNAL if the daemon returns other frames than requested.
  absl::StatusOr<std::vector<std::string>> ReadFrames(
      absl::Span<const uint64_t> mfns) override;
  absl::StatusOr<std::vector<std::optional<uint64_t>>> LookupPfns(
      absl::Span<const uint64_t> mfns) override;

 private:
  const Client& client_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_REMOTE_FRAME_READER_H_
