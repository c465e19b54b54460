#include "server/inbound_frames.h"

#include <algorithm>
#include <utility>

namespace simvisor::server {
namespace {

enum Kind : uint8_t { kData = 0, kHeaders = 1, kRstStream = 3 };
enum Flag : uint8_t { kEndStream = 1, kPadded = 8 };

constexpr uint8_t kPrefixBytes = 5;
// A client may have 1000 calls at a time.  Those that the daemon ended are here
// too, since clients need not say that they know.
constexpr size_t kMaxStreams = 8192;

}  // namespace

bool InboundFrames::Feed(absl::Span<const uint8_t> bytes) {
  TakePreface(bytes);
  while (!bytes.empty()) {
    const bool ok =
        header_bytes_ < kHeaderBytes ? TakeHeader(bytes) : TakePayload(bytes);
    if (!ok) return false;
  }
  return true;
}

void InboundFrames::TakePreface(absl::Span<const uint8_t>& bytes) {
  const size_t taken = std::min(preface_left_, bytes.size());
  preface_left_ -= taken;
  bytes.remove_prefix(taken);
}

bool InboundFrames::TakeHeader(absl::Span<const uint8_t>& bytes) {
  const size_t taken = std::min(kHeaderBytes - header_bytes_, bytes.size());
  std::copy_n(bytes.data(), taken, header_ + header_bytes_);
  header_bytes_ += taken;
  bytes.remove_prefix(taken);
  return header_bytes_ < kHeaderBytes || BeginFrame();
}

bool InboundFrames::BeginFrame() {
  payload_left_ = header_[0] << 16 | header_[1] << 8 | header_[2];
  kind_ = header_[3];
  flags_ = header_[4];
  stream_ = (header_[5] & 0x7fu) << 24 | header_[6] << 16 | header_[7] << 8 |
            header_[8];
  padding_ = 0;
  pad_length_due_ = kind_ == kData && (flags_ & kPadded) != 0;
  if (kind_ == kHeaders && (flags_ & kEndStream) == 0 && !Begin()) return false;
  if (payload_left_ == 0) EndFrame();
  return true;
}

bool InboundFrames::Begin() {
  if (Find(stream_) != nullptr) return true;
  if (newest_id_ != 0) {
    if (streams_.size() == kMaxStreams) ForgetThoseBetweenMessages();
    if (streams_.size() == kMaxStreams) return false;
    streams_.emplace(newest_id_, newest_);
  }
  newest_id_ = stream_;
  newest_ = Stream();
  held_ += newest_.Holds();
  return true;
}

bool InboundFrames::TakePayload(absl::Span<const uint8_t>& bytes) {
  absl::Span<const uint8_t> payload =
      bytes.subspan(0, std::min<size_t>(payload_left_, bytes.size()));
  bytes.remove_prefix(payload.size());
  if (pad_length_due_) {
    padding_ = payload.front();
    payload.remove_prefix(1);
    --payload_left_;
    pad_length_due_ = false;
  }
  if (kind_ == kData) {
    const size_t data_left =
        payload_left_ > padding_ ? payload_left_ - padding_ : 0;
    if (!TakeData(payload.subspan(0, data_left))) return false;
  }
  payload_left_ -= static_cast<uint32_t>(payload.size());
  if (payload_left_ == 0) EndFrame();
  return true;
}

bool InboundFrames::TakeData(absl::Span<const uint8_t> data) {
  Stream* stream = Find(stream_);
  if (stream == nullptr) {
    if (!forgot_some_ || data.empty()) return true;
    if (streams_.size() == kMaxStreams) return false;
    stream = &streams_[stream_];
    stream->called = true;
  }
  held_ -= stream->Holds();
  const bool ok = stream->Take(data);
  held_ += stream->Holds();
  return ok;
}

bool InboundFrames::Stream::Take(absl::Span<const uint8_t> data) {
  while (!data.empty()) {
    if (prefix_bytes < kPrefixBytes) {
      // The first says whether the message is compressed.
      if (prefix_bytes++ > 0) length = length << 8 | data.front();
      data.remove_prefix(1);
      if (prefix_bytes < kPrefixBytes) continue;
      if (length > kMaxMessageBytes) return false;
    }
    const size_t taken = std::min<size_t>(length - bytes, data.size());
    bytes += static_cast<uint32_t>(taken);
    data.remove_prefix(taken);
    if (bytes < length) continue;
    // Whole; now somebody else counts it.
    *this = Stream();
    called = true;
  }
  return true;
}

void InboundFrames::EndFrame() {
  header_bytes_ = 0;
  const bool ends =
      kind_ == kRstStream ||
      ((kind_ == kData || kind_ == kHeaders) && (flags_ & kEndStream) != 0);
  if (ends) Forget(stream_);
}

InboundFrames::Stream* InboundFrames::Find(uint32_t id) {
  if (id == newest_id_ && id != 0) return &newest_;
  const auto at = streams_.find(id);
  return at == streams_.end() ? nullptr : &at->second;
}

void InboundFrames::ForgetThoseBetweenMessages() {
  forgot_some_ = true;
  absl::erase_if(streams_, [](const auto& entry) {
    return entry.second.prefix_bytes == 0 && entry.second.Holds() == 0;
  });
}

void InboundFrames::Forget(uint32_t id) {
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
