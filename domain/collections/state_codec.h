// Encodes numbers as bytes and decodes them: the form in which a guest's kernel
// records its state in its own pages.
//
// A number below 2^64 takes one byte for each 7 bits, the lowest first, with
// the top bit set in all but the last (LEB128).
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_COLLECTIONS_STATE_CODEC_H_
#define SIMVISOR_DOMAIN_COLLECTIONS_STATE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "domain/collections/extent_set.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

class StateWriter {
 public:
  void Put(uint64_t number);
  void Put(PfnExtent pfns) {
    Put(pfns.first.value());
    Put(pfns.count.value());
  }
  // The number of extents, then the extents in ascending order.
  void Put(const PfnSet& set);

  // Everything that another writer has written.
  void Append(const StateWriter& other) { bytes_ += other.bytes_; }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what a StateWriter wrote; the bytes are not trusted.
//
// Every read names its field and its bounds.  Once a read or a check has
// failed, ok() is false, all further reads return 0 or nothing, and status()
// names the field, its offset, the value and the limit; so a caller may check
// once, at the end.  GetCount() bounds every loop over items by the bytes that
// are left, and such a loop ends early when a read fails.
class StateReader {
 public:
  // Calls `stop` once every kNumbersPerStop numbers; a status that is not OK
  // ends reading and becomes status().  `stop` must outlive the reader.
  explicit StateReader(absl::string_view bytes, StopCheck stop = NeverStop)
      : size_(bytes.size()), rest_(bytes), stop_(stop) {}

  // The next number; fails unless it is in [least, most].
  uint64_t Get(absl::string_view field, uint64_t least, uint64_t most);
  uint64_t Get(absl::string_view field, uint64_t most = ~uint64_t{0}) {
    return Get(field, 0, most);
  }
  bool GetFlag(absl::string_view field) { return Get(field, 1) == 1; }
  // An extent of pfns in [from, end); fails if it is empty or reaches outside.
  PfnExtent GetPfns(absl::string_view field, Pfn from, Pfn end);
  PfnExtent GetPfns(absl::string_view field, Pfn end) {
    return GetPfns(field, Pfn(0), end);
  }
  // Pfns below `end`; fails unless the extents ascend and do not touch.
  PfnSet GetSet(absl::string_view field, Pfn end);
  // The number of items that follow; fails if that many items of at least
  // `least_bytes` each do not fit into the bytes that are left.
  uint64_t GetCount(absl::string_view field, uint64_t least_bytes);

  // Bytes that have not been read.
  size_t left() const { return rest_.size(); }
  // Leaves out the next `bytes` bytes.
  // REQUIRES: bytes <= left().
  void Skip(size_t bytes) { rest_.remove_prefix(bytes); }

  // A field that was read, and its offset.
  struct Place {
    absl::string_view field = "the start";
    size_t at = 0;
  };
  // The field read last.
  const Place& last() const { return last_; }
  // Fails because the field read last, or the one at `place`, contradicts the
  // rest; `why` states value and limit.  Only the first failure counts.
  void Fail(absl::string_view why) { Fail(last_, why); }
  void Fail(const Place& place, absl::string_view why);

  bool ok() const { return status_.ok(); }
  // Whether everything has been read, without a failure.
  bool done() const { return ok() && rest_.empty(); }
  // OK, INVALID_ARGUMENT IMAGE_MALFORMED, or the status of `stop`.
  const absl::Status& status() const { return status_; }

  static constexpr uint64_t kNumbersPerStop = 4096;

 private:
  const size_t size_;
  absl::string_view rest_;
  const StopCheck stop_;
  uint64_t numbers_ = 0;  // read so far
  Place last_;
  absl::Status status_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_STATE_CODEC_H_
