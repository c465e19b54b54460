// Numbers as bytes, and back: how a guest's kernel notes its state in its own
// pages.
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

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "domain/collections/extent_set.h"
#include "domain/units/units.h"

namespace simvisor {

class StateWriter {
 public:
  void Put(uint64_t number);
  void Put(PfnExtent pfns) {
    Put(pfns.first.value());
    Put(pfns.count.value());
  }
  // How many extents, then the extents, ascending.
  void Put(const PfnSet& set);

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Reads what a StateWriter wrote, out of bytes that anybody may have made.
//
// Every read names its field and its bounds.  Once a read or a check has
// failed, ok() is false, all further reads answer 0 or nothing, and status()
// tells the field, its offset, the value and the limit; so callers may look at
// the end only.  A loop over items is bounded by GetCount(), hence by the
// bytes, and ends early when a read fails.
class StateReader {
 public:
  using Stop = absl::FunctionRef<absl::Status()>;

  // `stop` is asked between numbers, each kNumbersPerStop; its status ends
  // reading and becomes status().  It must outlive the reader.
  explicit StateReader(absl::string_view bytes, Stop stop = NeverStop)
      : size_(bytes.size()), rest_(bytes), stop_(stop) {}

  // The next number; fails unless it is `least` to `most`.
  uint64_t Get(absl::string_view field, uint64_t least, uint64_t most);
  uint64_t Get(absl::string_view field, uint64_t most = ~uint64_t{0}) {
    return Get(field, 0, most);
  }
  bool GetFlag(absl::string_view field) { return Get(field, 1) == 1; }
  // Pfns of [from, end); fails if there is none.
  PfnExtent GetPfns(absl::string_view field, Pfn from, Pfn end);
  PfnExtent GetPfns(absl::string_view field, Pfn end) {
    return GetPfns(field, Pfn(0), end);
  }
  // Pfns below `end`; fails unless the extents ascend and do not touch.
  PfnSet GetSet(absl::string_view field, Pfn end);
  // How many items follow; fails for more than there can be in the bytes that
  // are left, at `least_bytes` each.
  uint64_t GetCount(absl::string_view field, uint64_t least_bytes);

  // A field that was read.
  struct Place {
    absl::string_view field = "the start";
    size_t at = 0;
  };
  // What was read last.
  const Place& last() const { return last_; }
  // What was read last, or at `place`, makes no sense beside the rest: `why`
  // says value and limit.  Only the first failure counts.
  void Fail(absl::string_view why) { Fail(last_, why); }
  void Fail(const Place& place, absl::string_view why);

  bool ok() const { return status_.ok(); }
  // Whether all has been read, without failure.
  bool done() const { return ok() && rest_.empty(); }
  // OK; INVALID_ARGUMENT IMAGE_MALFORMED; or what `stop` said.
  const absl::Status& status() const { return status_; }

  static constexpr uint64_t kNumbersPerStop = 4096;

 private:
  static absl::Status NeverStop() { return absl::OkStatus(); }

  const size_t size_;
  absl::string_view rest_;
  const Stop stop_;
  uint64_t numbers_ = 0;  // read so far
  Place last_;
  absl::Status status_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_COLLECTIONS_STATE_CODEC_H_
