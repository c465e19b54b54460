// Splits what one end of an HTTP/2 connection sends into frames, however the
// bytes are cut up: gives the header of each frame and finds its payload.  Does
// not interpret the payload.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_LISTEN_HTTP2_FRAMES_H_
#define SIMVISOR_SERVER_LISTEN_HTTP2_FRAMES_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace simvisor::server {

// The header of a frame (RFC 9113, section 4.1), with the kinds that calls use.
struct Http2Frame {
  enum Kind : uint8_t { kData = 0, kHeaders = 1, kRstStream = 3 };
  enum Flag : uint8_t { kEndStream = 1, kPadded = 8 };

  uint8_t kind = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;

  bool Has(Flag flag) const { return (flags & flag) != 0; }
  // Whether the sender ends the stream with this frame.
  bool EndsStream() const;
};

class Http2Frames {
 public:
  // A frame's header and the beginning of its payload, or more of the payload.
  struct Piece {
    Http2Frame frame;
    bool begins = false;  // the piece has the header
    absl::Span<const uint8_t> payload;
    // Bytes of the payload still to come; at 0 the frame ends.
    uint32_t left = 0;
  };

  // Removes the next piece from the front of `bytes`; returns false if they end
  // inside a header or between frames, and then all of them are consumed.
  bool Next(absl::Span<const uint8_t>& bytes, Piece& piece);

 private:
  static constexpr size_t kHeaderBytes = 9;

  // False if it is still incomplete.
  bool TakeHeader(absl::Span<const uint8_t>& bytes);

  uint8_t header_[kHeaderBytes];
  size_t header_bytes_ = 0;

  // The current frame, whose header is complete.
  Http2Frame frame_;
  uint32_t left_ = 0;  // of its payload
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_HTTP2_FRAMES_H_
