#include "server/listen/http2_frames.h"

#include <algorithm>

namespace simvisor::server {

bool Http2Frame::EndsStream() const {
  return kind == kRstStream ||
         ((kind == kData || kind == kHeaders) && Has(kEndStream));
}

bool Http2Frames::Next(absl::Span<const uint8_t>& bytes, Piece& piece) {
  if (bytes.empty()) return false;
  const bool begins = left_ == 0;
  if (begins && !TakeHeader(bytes)) return false;
  const size_t taken = std::min<size_t>(left_, bytes.size());
  left_ -= static_cast<uint32_t>(taken);
  piece = {frame_, begins, bytes.subspan(0, taken), left_};
  bytes.remove_prefix(taken);
  return true;
}

bool Http2Frames::TakeHeader(absl::Span<const uint8_t>& bytes) {
  const size_t taken = std::min(kHeaderBytes - header_bytes_, bytes.size());
  std::copy_n(bytes.data(), taken, header_ + header_bytes_);
  header_bytes_ += taken;
  bytes.remove_prefix(taken);
  if (header_bytes_ < kHeaderBytes) return false;
  header_bytes_ = 0;
  left_ = header_[0] << 16 | header_[1] << 8 | header_[2];
  frame_.kind = header_[3];
  frame_.flags = header_[4];
  frame_.stream = (header_[5] & 0x7fu) << 24 | header_[6] << 16 |
                  header_[7] << 8 | header_[8];
  return true;
}

}  // namespace simvisor::server
