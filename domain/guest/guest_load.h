// A program in a guest that writes to pages of its own, so that a migration has
// something to chase.  What each page must hold can be computed afterwards.
//
// The program numbers its pages by their position among its pfns in ascending
// order, and its writes from 0 on.  Which page a write goes to, and the 4096
// bytes that it leaves there, depend only on the seed and the number of the
// write; docs/guest-load.md gives both as formulas.  A page that was never
// written holds zeros.
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
#include "domain/frames/page_store.h"
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

  // With a rate and a working set in the place of zeros, for a guest that has
  // `free` pages free: 1000 pages per second, and a quarter of the free pages,
  // but at least one and at most 64 MiB.
  LoadSpec FitTo(PageCount free) const;

  friend bool operator==(const LoadSpec&, const LoadSpec&) = default;
};

// The page that write `n` goes to, below spec.working_set.
uint64_t PageOfWrite(const LoadSpec& spec, uint64_t n);

// What write `n` leaves in page `index`.
void FillPage(const LoadSpec& spec, uint64_t index, uint64_t n, Page& page);

// The last write to each page.
//
// Follow() goes backwards from the last write until each page has one, and then
// forwards.  So the work depends on the pages of the load, at worst about ten
// times n ln n for n pages, and not on its writes: a load out of an image may
// claim any number of them.
class LastWrites {
 public:
  explicit LastWrites(const LoadSpec& spec);

  // Follows the writes below number `end` that were not followed yet, at most
  // `most` of them.  Returns whether all of them are followed now.
  // REQUIRES: `end` is not below the `end` of the call before.
  bool Follow(uint64_t end, uint64_t most);

  // Fills `page` with what page `index` must hold after the writes that were
  // followed.
  void Expect(uint64_t index, Page& page) const;

 private:
  LoadSpec spec_;
  bool begun_ = false;
  uint64_t from_ = 0;           // followed backwards to here
  uint64_t followed_ = 0;       // and forwards up to here
  std::vector<uint64_t> last_;  // by page, one more than the write; 0: none
  uint64_t unseen_;             // pages that the way back has not come to
};

class GuestLoad {
 public:
  // REQUIRES: pages.size() is spec.working_set.
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

  // Encode() writes what a saved guest notes about its load.  Decode() makes a
  // load of it, with pages below `end`; nullopt if `in` has failed.  The number
  // of writes is what the notes say, and is not compared with the pages: these
  // may have been overwritten since.
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
