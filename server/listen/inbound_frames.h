// What one client sends, followed frame by frame: how much gRPC must be holding
// of calls whose request has not come in whole.
//
// gRPC reads a message to its end before it looks at its length or tells
// anybody of the call, so this is what only the sender knows otherwise.  Kept
// are HTTP/2's frames as far as they tell of it: which streams begin and end,
// and the lengths in front of gRPC's messages.  What is compressed, such as
// headers, is passed over.
//
// A stream takes part until its first message is whole, since its method is
// called then, and later while another message is not.  It is over when the
// client ends it, or this end does: gRPC closes with its answer also what the
// client was to send, and passes over what comes of it all the same.
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
  // A longer message will be refused, so that its sender can as well be cut off
  // before it has come in.  Four times what is taken, so that those who are
  // merely above that get an answer.
  static constexpr uint64_t kMaxMessageBytes = uint64_t{16} << 20;
  // About what gRPC keeps for a call.
  static constexpr uint64_t kCallBytes = 16 << 10;
  // Streams that neither end has ended; the sender of more is to be cut off.
  // gRPC tells clients how many they may have.  They may have as many again
  // for a moment, since they learn of the ends of streams before Ended() does,
  // and begin others; and more before they have heard the number.
  static constexpr size_t kMaxStreams = 4096;

  // Takes the next bytes; false if the sender is to be cut off, and then this
  // object is of no more use.
  bool Feed(absl::Span<const uint8_t> bytes);

  // This end has ended the stream, which from now on counts nothing, whatever
  // comes of it.
  void Ended(uint32_t stream);

  // What gRPC holds, in bytes.
  uint64_t held() const { return held_; }

 private:
  struct Stream {
    // Of the five bytes in front of a message.
    uint8_t prefix_bytes = 0;
    // A message has been whole, so that the method has been called.
    bool called = false;
    // Of the message at hand, and how much has come.
    uint32_t length = 0;
    uint32_t bytes = 0;

    // False if the message is too long.
    bool Take(absl::Span<const uint8_t> data);
    uint64_t Holds() const { return (called ? 0 : kCallBytes) + bytes; }
  };

  static constexpr size_t kPrefaceBytes = 24;

  void TakePreface(absl::Span<const uint8_t>& bytes);
  // False if the sender is to be cut off.
  bool Take(const Http2Frames::Piece& piece);
  // Begins to follow the stream if it is new; false if there are too many.
  bool Begin(uint32_t id);
  // The data in a piece of a DATA frame, without its padding.
  absl::Span<const uint8_t> DataOf(const Http2Frames::Piece& piece);
  bool TakeData(uint32_t id, absl::Span<const uint8_t> data);
  // Null if the stream is not followed.
  Stream* Find(uint32_t id);

  size_t preface_left_ = kPrefaceBytes;
  Http2Frames frames_;
  // Of the frame of data at hand.
  uint32_t padding_ = 0;  // at the end of the payload
  bool pad_length_due_ = false;

  // The highest of all, since numbers only rise; gRPC passes over others.
  uint32_t last_begun_ = 0;
  // The stream that began last, since most end before the next one begins; 0 if
  // it has ended.
  uint32_t newest_id_ = 0;
  Stream newest_;
  absl::flat_hash_map<uint32_t, Stream> streams_;  // the others
  uint64_t held_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_LISTEN_INBOUND_FRAMES_H_
