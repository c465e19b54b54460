// A program in a guest that writes to pages of its own, so that a migration has
// something to chase, in such a way that anybody can tell afterwards what each
// page must hold.
//
// The program numbers its pages by their position among its pfns in ascending
// order, and its writes from 0 on.  Which page a write goes to, and the 4096
// bytes that it leaves there, follow from the seed and the number of the write
// alone; docs/guest-load.md gives both as formulas.  A page that no write has
// come to holds zeros.
//
// Thread safety: pure functions and thread-compatible classes; Domain
// serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_LOAD_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "domain/collections/extent_set.h"
#include "domain/collections/state_codec.h"
#include "domain/frames/page_contents.h"
#include "domain/units/units.h"

namespace simvisor {

enum class LoadPattern {
  kSequential,  // one page after the other, round and round
  kRandom,      // any page
  kHotspot,     // nine of ten writes to the first tenth of the pages
};

struct LoadSpec {
  static constexpr uint64_t kMaxPagesPerSecond = 10'000'000;
  // 16 GiB: a check keeps eight bytes for each page.
  static constexpr PageCount kMaxWorkingSet{uint64_t{1} << 22};

  uint64_t pages_per_second = 1;  // 1 to kMaxPagesPerSecond
  PageCount working_set{1};       // 1 to kMaxWorkingSet
  LoadPattern pattern = LoadPattern::kRandom;
  uint64_t seed = 1;

  friend bool operator==(const LoadSpec&, const LoadSpec&) = default;
};

// The page that write `n` goes to, below spec.working_set.
uint64_t PageOfWrite(const LoadSpec& spec, uint64_t n);

// What write `n` leaves in page `index`.
void FillPage(const LoadSpec& spec, uint64_t index, uint64_t n, Page& page);

// Which write came to each page last.
//
// The writes are followed backwards from the last one until each page has met
// one, and forwards from there; so the work grows with the pages of the load,
// about ten times n ln n of n pages at worst, and not with its writes, of which
// a load out of an image may claim any number.
class LastWrites {
 public:
  explicit LastWrites(const LoadSpec& spec);

  // Follows the writes up to number `end`, not included, but at most `most` of
  // them; none if they have been followed.  Returns whether that was all.
  // REQUIRES: `end` is not below that of the call before.
  bool Follow(uint64_t end, uint64_t most);

  // What page `index` must hold after the writes that were followed.
  void Expect(uint64_t index, Page& page) const;

 private:
  LoadSpec spec_;
  bool begun_ = false;
  uint64_t from_ = 0;           // followed backwards down to here
  uint64_t followed_ = 0;       // and forwards up to here
  std::vector<uint64_t> last_;  // by page, one more than the write; 0: none
  uint64_t unseen_;             // pages that the way back has not come to
};

class GuestLoad {
 public:
  // REQUIRES: as many `pages` as the working set.
  GuestLoad(const LoadSpec& spec, PfnSet pages, uint64_t writes = 0);

  // Writes after which a load does no more.
  static constexpr uint64_t kMaxWrites = uint64_t{1} << 63;

  const LoadSpec& spec() const { return spec_; }
  const PfnSet& pages() const { return pages_; }
  uint64_t writes() const { return writes_; }

  bool Intersects(PfnExtent pfns) const {
    return pages_.CountIn(pfns) > PageCount(0);
  }

  // REQUIRES: index is below the working set.
  Pfn PageAt(uint64_t index) const;
  // The pages from `index` on, in order, at most `most` extents; none past the
  // last.
  std::vector<PfnExtent> PagesFrom(uint64_t index, size_t most) const;

  // Where the next write goes.
  Pfn NextPage() const;
  // Counts the next write, and returns where it goes and what it leaves there.
  // REQUIRES: fewer than kMaxWrites were done.
  Pfn NextWrite(Page& page);

  // What a saved guest notes of its load, and a load made of it, with pages
  // below `end`; nullopt if `in` failed.  How many writes there were is what
  // the notes say: pages may have been overwritten since.
  void Encode(StateWriter& out) const;
  static std::optional<GuestLoad> Decode(StateReader& in, Pfn end);

 private:
  // An extent of the pages, and the number of its first page.
  struct Part {
    uint64_t index;
    PfnExtent pfns;
  };
  std::vector<Part>::const_iterator PartOf(uint64_t index) const;

  // Constant after construction.
  LoadSpec spec_;
  PfnSet pages_;
  std::vector<Part> parts_;  // ascending

  uint64_t writes_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_LOAD_H_
