// The frames of HTTP/2 in what one end of a connection sends, however the bytes
// are cut up: the header of each, and where its payload is.  What a payload
// says is for others.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_LISTEN_HTTP2_FRAMES_H_
#define SIMVISOR_SERVER_LISTEN_HTTP2_FRAMES_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace simvisor::server {

// The header of a frame (RFC 9113, section 4.1), of the kinds that calls are
// made of.
struct Http2Frame {
  enum Kind : uint8_t { kData = 0, kHeaders = 1, kRstStream = 3 };
  enum Flag : uint8_t { kEndStream = 1, kPadded = 8 };

  uint8_t kind = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;

  bool Has(Flag flag) const { return (flags & flag) != 0; }
  // With this frame, its sender has sent all of the stream.
  bool EndsStream() const;
};

class Http2Frames {
 public:
  // A frame's header and what follows of its payload, or more of the payload.
  struct Piece {
    Http2Frame frame;
    bool begins = false;  // it has the header
    absl::Span<const uint8_t> payload;
    // Bytes of the payload that are still to come; the frame ends at 0.
    uint32_t left = 0;
  };

  // Takes the next piece off the front of `bytes`; false if they end within a
  // header or between frames, and then all of them are taken.
  bool Next(absl::Span<const uint8_t>& bytes, Piece& piece);

 private:
  static constexpr size_t kHeaderBytes = 9;

  // False if it is not whole yet.
  bool TakeHeader(absl::Span<const uint8_t>& bytes);

  uint8_t header_[kHeaderBytes];
  size_t header_bytes_ = 0;

  // The frame at hand, whose header is whole.
  Http2Frame frame_;
  uint32_t left_ = 0;  // of its payload
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_HTTP2_FRAMES_H_
