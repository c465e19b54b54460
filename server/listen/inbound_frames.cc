#include "server/listen/inbound_frames.h"

#include <algorithm>

namespace simvisor::server {
namespace {

constexpr uint8_t kPrefixBytes = 5;

}  // namespace

bool InboundFrames::Feed(absl::Span<const uint8_t> bytes) {
  TakePreface(bytes);
  Http2Frames::Piece piece;
  while (frames_.Next(bytes, piece)) {
    if (!Take(piece)) return false;
  }
  return true;
}

void InboundFrames::TakePreface(absl::Span<const uint8_t>& bytes) {
  const size_t taken = std::min(preface_left_, bytes.size());
  preface_left_ -= taken;
  bytes.remove_prefix(taken);
}

bool InboundFrames::Take(const Http2Frames::Piece& piece) {
  const Http2Frame& frame = piece.frame;
  if (piece.begins && frame.kind == Http2Frame::kHeaders &&
      !Begin(frame.stream)) {
    return false;
  }
  if (frame.kind == Http2Frame::kData &&
      !TakeData(frame.stream, DataOf(piece))) {
    return false;
  }
  if (piece.left == 0 && frame.EndsStream()) Ended(frame.stream);
  return true;
}

bool InboundFrames::Begin(uint32_t id) {
  // A client may only begin streams with odd numbers.
  if (id <= last_begun_ || id % 2 == 0) return true;
  last_begun_ = id;
  if (newest_id_ != 0) {
    if (streams_.size() + 1 == kMaxStreams) return false;
    streams_.emplace(newest_id_, newest_);
  }
  newest_id_ = id;
  newest_ = Stream();
  held_ += newest_.Holds();
  return true;
}

absl::Span<const uint8_t> InboundFrames::DataOf(
    const Http2Frames::Piece& piece) {
  if (piece.begins) {
    padding_ = 0;
    pad_length_due_ = piece.frame.Has(Http2Frame::kPadded);
  }
  absl::Span<const uint8_t> payload = piece.payload;
  if (pad_length_due_ && !payload.empty()) {
    padding_ = payload.front();
    payload.remove_prefix(1);
    pad_length_due_ = false;
  }
  const size_t left = payload.size() + piece.left;
  return payload.subspan(0, left > padding_ ? left - padding_ : 0);
}

bool InboundFrames::TakeData(uint32_t id, absl::Span<const uint8_t> data) {
  Stream* const stream = Find(id);
  if (stream == nullptr) return true;
  held_ -= stream->Holds();
  const bool ok = stream->Take(data);
  held_ += stream->Holds();
  return ok;
}

bool InboundFrames::Stream::Take(absl::Span<const uint8_t> data) {
  while (!data.empty()) {
    if (prefix_bytes < kPrefixBytes) {
      // The first byte says whether the message is compressed.
      if (prefix_bytes++ > 0) length = length << 8 | data.front();
      data.remove_prefix(1);
      if (prefix_bytes < kPrefixBytes) continue;
      if (length > kMaxMessageBytes) return false;
    }
    const size_t taken = std::min<size_t>(length - bytes, data.size());
    bytes += static_cast<uint32_t>(taken);
    data.remove_prefix(taken);
    if (bytes < length) continue;
    // The message is complete; it is counted elsewhere from now on.
    *this = Stream();
    called = true;
  }
  return true;
}

InboundFrames::Stream* InboundFrames::Find(uint32_t id) {
  if (id == newest_id_ && id != 0) return &newest_;
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : &at->second;
}

void InboundFrames::Ended(uint32_t id) {
  const Stream* const stream = Find(id);
  if (stream == nullptr) return;
  held_ -= stream->Holds();
  if (stream == &newest_) {
    newest_id_ = 0;
  } else {
    streams_.erase(id);
  }
}

}  // namespace simvisor::server
