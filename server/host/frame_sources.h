// The sources of HostService's streams: runs of frames, and contents of frames.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_HOST_FRAME_SOURCES_H_
#define SIMVISOR_SERVER_HOST_FRAME_SOURCES_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/host/host.h"
#include "domain/units/units.h"
#include "server/calls/progress.h"
#include "simvisor/v1/host_service.pb.h"

namespace simvisor::server {

// Bounds of one response, as the API states them.
inline constexpr size_t kMaxRunsPerResponse = 4096;
inline constexpr int kMaxFramesPerResponse = 64;

// Looks up owners and pfns of the frames of extents, in order.
class FrameLookup {
 public:
  // Errors: as FromProto() of the extents.
  static absl::StatusOr<FrameLookup> Create(
      const Host* host, const v1::LookupFramesRequest& request);

  // At most kMaxRunsPerResponse runs; OUT_OF_RANGE: as Host::LookupFrames().
  absl::StatusOr<Progress> Next(v1::LookupFramesResponse* response);

 private:
  FrameLookup(const Host* host, std::vector<MfnExtent> extents)
      : host_(host), extents_(std::move(extents)) {}

  const Host* host_;
  std::vector<MfnExtent> extents_;  // what is left of extents_[next_] and later
  size_t next_ = 0;
  std::vector<FrameRun> runs_;
};

// Reads the contents of the frames of extents, in order.
class FrameReader {
 public:
  static absl::StatusOr<FrameReader> Create(
      const Host* host, const v1::ReadFramesRequest& request);

  // At most kMaxFramesPerResponse frames.  Errors: as Host::ReadFrame().
  absl::StatusOr<Progress> Next(v1::ReadFramesResponse* response);

 private:
  FrameReader(const Host* host, std::vector<MfnExtent> extents)
      : host_(host), extents_(std::move(extents)) {}

  // See JobScope::Enter().
  absl::Status EnterOwner(Mfn mfn) const;
  absl::Status ReadOne(v1::FrameContent* frame);

  const Host* host_;
  std::vector<MfnExtent> extents_;  // what is left of extents_[next_] and later
  size_t next_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_HOST_FRAME_SOURCES_H_
