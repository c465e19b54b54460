#include "domain/units/state_codec.h"

namespace simvisor {

void StateWriter::Put(uint64_t number) {
  for (; number >= 0x80; number >>= 7) {
    bytes_.push_back(static_cast<char>(number | 0x80));
  }
  bytes_.push_back(static_cast<char>(number));
}

void StateWriter::PutBytes(absl::string_view bytes) {
  Put(bytes.size());
  bytes_.append(bytes.data(), bytes.size());
}

uint64_t StateReader::Get(uint64_t most) {
  uint64_t number = 0;
  for (int shift = 0; ok_ && shift < 64; shift += 7) {
    if (rest_.empty()) break;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    const uint64_t bits = byte & 0x7f;
    if (shift == 63 && bits > 1) break;
    number |= bits << shift;
    if (byte >= 0x80) continue;
    if (number > most) break;
    return number;
  }
  ok_ = false;
  return 0;
}

absl::string_view StateReader::GetBytes() {
  const uint64_t size = GetCount();
  // The count was taken off rest_ after it was compared with its size.
  if (size > rest_.size()) ok_ = false;
  if (!ok_) return "";
  const absl::string_view bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return bytes;
}

PfnExtent StateReader::GetPfns(Pfn end) {
  const Pfn first(Get(end.value()));
  const PageCount count(Get());
  if (count == PageCount(0) || !FitsWithin(first, count, end)) ok_ = false;
  return ok_ ? PfnExtent{first, count} : PfnExtent{};
}

}  // namespace simvisor
