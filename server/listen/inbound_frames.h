// Follows what one client sends, frame by frame: how much gRPC must be holding
// of calls whose request has not arrived completely.
//
// gRPC reads a message to its end before it checks its length or reports the
// call, so without this class only the sender would know.  It follows the
// HTTP/2 frames as far as needed: which streams begin and end, and the length
// prefixes of gRPC's messages.  It skips everything compressed, such as
// headers.
//
// A stream counts until its first message is complete, since its method is
// called then, and later while another message is incomplete.  The stream is
// over when the client ends it, or when this end does: with its answer gRPC
// also closes the client's half, and discards whatever still comes on it.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_LISTEN_INBOUND_FRAMES_H_
#define SIMVISOR_SERVER_LISTEN_INBOUND_FRAMES_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "server/listen/http2_frames.h"

namespace simvisor::server {

class InboundFrames {
 public:
  // A longer message would be refused, so its sender is cut off before all of
  // it has come.  Four times the largest accepted message, so that a sender
  // that is only a little above that gets an answer.
  static constexpr uint64_t kMaxMessageBytes = uint64_t{16} << 20;
  // Roughly what gRPC keeps for a call.
  static constexpr uint64_t kCallBytes = 16 << 10;
  // The most streams that neither end has ended; a sender of more is cut off.
  // gRPC tells clients how many they may have.  For a moment they may have
  // twice as many, since they learn of the ends of streams before Ended() does,
  // and begin others; and more before they have received the number.
  static constexpr size_t kMaxStreams = 4096;

  // Reads the next bytes; returns false if the sender must be cut off, and then
  // this object must not be used any more.
  bool Feed(absl::Span<const uint8_t> bytes);

  // This end has ended the stream; from now on it counts nothing, whatever
  // still comes on it.
  void Ended(uint32_t stream);

  // What gRPC holds, in bytes.
  uint64_t held() const { return held_; }

 private:
  struct Stream {
    // How many of the five bytes in front of a message have come.
    uint8_t prefix_bytes = 0;
    // A message was complete, so the method has been called.
    bool called = false;
    // Of the current message: its length, and how much has come.
    uint32_t length = 0;
    uint32_t bytes = 0;

    // False if the message is too long.
    bool Take(absl::Span<const uint8_t> data);
    uint64_t Holds() const { return (called ? 0 : kCallBytes) + bytes; }
  };

  static constexpr size_t kPrefaceBytes = 24;

  void TakePreface(absl::Span<const uint8_t>& bytes);
  // False if the sender must be cut off.
  bool Take(const Http2Frames::Piece& piece);
  // Starts to follow the stream if it is new; false if there are too many.
  bool Begin(uint32_t id);
  // The data in a piece of a DATA frame, without its padding.
  absl::Span<const uint8_t> DataOf(const Http2Frames::Piece& piece);
  bool TakeData(uint32_t id, absl::Span<const uint8_t> data);
  // Null if the stream is not followed.
  Stream* Find(uint32_t id);

  size_t preface_left_ = kPrefaceBytes;
  Http2Frames frames_;
  // About the current DATA frame.
  uint32_t padding_ = 0;  // at the end of the payload
  bool pad_length_due_ = false;

  // The highest stream number so far; numbers only rise, and gRPC ignores
  // others.
  uint32_t last_begun_ = 0;
  // The stream that began last, kept apart since most end before the next one
  // begins; 0 if it has ended.
  uint32_t newest_id_ = 0;
  Stream newest_;
  absl::flat_hash_map<uint32_t, Stream> streams_;  // the others
  uint64_t held_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_INBOUND_FRAMES_H_
