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
// called then, and later while another message is not.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_INBOUND_FRAMES_H_
#define SIMVISOR_SERVER_INBOUND_FRAMES_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"

namespace simvisor::server {

class InboundFrames {
 public:
  // A longer message will be refused, so that its sender can as well be cut off
  // before it has come in.  Four times what is taken, so that those who are
  // merely above that get an answer.
  static constexpr uint64_t kMaxMessageBytes = uint64_t{16} << 20;
  // About what gRPC keeps for a call.
  static constexpr uint64_t kCallBytes = 16 << 10;

  // Takes the next bytes; false if the sender is to be cut off, and then this
  // object is of no more use.
  bool Feed(absl::Span<const uint8_t> bytes);

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
  static constexpr size_t kHeaderBytes = 9;

  // Each takes some bytes off the front.
  void TakePreface(absl::Span<const uint8_t>& bytes);
  bool TakeHeader(absl::Span<const uint8_t>& bytes);
  bool TakePayload(absl::Span<const uint8_t>& bytes);

  bool BeginFrame();
  void EndFrame();
  // Begins to follow the frame's stream; false if there are too many.
  bool Begin();
  bool TakeData(absl::Span<const uint8_t> data);
  // Null if the stream is not followed.
  Stream* Find(uint32_t id);
  void Forget(uint32_t id);
  // Among them are those that have ended at this end.  One that has not is
  // followed again with its next message.
  void ForgetThoseBetweenMessages();

  size_t preface_left_ = kPrefaceBytes;

  // The frame at hand.
  uint8_t header_[kHeaderBytes];
  size_t header_bytes_ = 0;
  uint8_t kind_ = 0;
  uint8_t flags_ = 0;
  uint32_t stream_ = 0;
  uint32_t payload_left_ = 0;
  uint32_t padding_ = 0;  // at the end of the payload
  bool pad_length_due_ = false;

  // The stream that began last, since most end before the next one begins; 0 if
  // it has ended.
  uint32_t newest_id_ = 0;
  Stream newest_;
  absl::flat_hash_map<uint32_t, Stream> streams_;  // the others
  bool forgot_some_ = false;                       // that may go on
  uint64_t held_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_INBOUND_FRAMES_H_
