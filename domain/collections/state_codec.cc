#include "domain/collections/state_codec.h"

#include "absl/strings/str_format.h"
#include "base/error.h"

namespace simvisor {

void StateWriter::Put(uint64_t number) {
  for (; number >= 0x80; number >>= 7) {
    bytes_.push_back(static_cast<char>(number | 0x80));
  }
  bytes_.push_back(static_cast<char>(number));
}

void StateWriter::Put(const PfnSet& set) {
  Put(set.extents().size());
  for (const auto& [first, end] : set.extents()) {
    Put(ExtentBetween(first, end));
  }
}

void StateReader::Fail(const Place& place, absl::string_view why) {
  if (!ok()) return;
  status_ = MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
      absl::StrFormat("save image: the kernel's notes, of %d bytes: %s, at "
                      "byte %d: %s",
                      size_, place.field, place.at, why),
      {{fact::kField, place.field}, {fact::kOffset, place.at}});
}

uint64_t StateReader::Get(absl::string_view field, uint64_t least,
                          uint64_t most) {
  if (ok() && ++numbers_ % kNumbersPerStop == 0) status_ = stop_();
  if (!ok()) return 0;
  last_ = {field, size_ - rest_.size()};
  uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) {
      Fail("the notes end there");
      return 0;
    }
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    const uint64_t bits = byte & 0x7f;
    if (shift == 63 && bits > 1) break;
    number |= bits << shift;
    if (byte >= 0x80) continue;
    if (number >= least && number <= most) return number;
    Fail(absl::StrFormat("%d (0x%x); it must be %d to %d (0x%x)", number,
                         number, least, most, most));
    SetFact({fact::kValue, number}, status_);
    SetFact({fact::kLimit, number < least ? least : most}, status_);
    return 0;
  }
  Fail("a number of more than 64 bits");
  return 0;
}

PfnExtent StateReader::GetPfns(absl::string_view field, Pfn from, Pfn end) {
  const Pfn first(Get(field));
  const Place place = last_;
  const PageCount count(Get(field));
  if (!ok()) return {};
  last_ = place;
  if (count > PageCount(0) && first >= from && FitsWithin(first, count, end)) {
    return {first, count};
  }
  Fail(absl::StrFormat(
      "%d pfns from 0x%x on; there must be at least one, in [0x%x, 0x%x)",
      count.value(), first.value(), from.value(), end.value()));
  return {};
}

PfnSet StateReader::GetSet(absl::string_view field, Pfn end) {
  PfnSet set;
  Pfn from(0);
  for (uint64_t n = GetCount(field, 2); n > 0 && ok(); --n) {
    const PfnExtent pfns = GetPfns(field, from, end);
    set.Add(pfns);
    from = pfns.end() + PageCount(1);
  }
  return set;
}

uint64_t StateReader::GetCount(absl::string_view field, uint64_t least_bytes) {
  const uint64_t count = Get(field);
  if (count <= rest_.size() / least_bytes) return count;
  Fail(absl::StrFormat("%d items; the %d bytes that follow hold at most %d",
                       count, rest_.size(), rest_.size() / least_bytes));
  return 0;
}

}  // namespace simvisor
