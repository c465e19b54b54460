// The words of a domain's p2m list, one per pfn, without the list's shape.
//
// The array belongs to the domain and outlives every list over it.  Before the
// guest has a list, the words are the inverted m2p: which frame the domain has
// at which pfn.  Afterwards they are the words of the guest's list.  P2mList
// adds the shape: which leaves have pages of their own, and which share one.
//
// Each word is stored as a lookup answers it, so leaves that share the identity
// leaf hold identity words here.  Words past the end are identity.  Identity
// words at the end need not be stored, because the area of a list may reach far
// past all memory.
//
// Thread safety: Lookup(), Reader, size() and generation() may be called from
// any thread at any time and take no lock, except while Resize() runs.  Callers
// serialise everything else; Domain does so with its mutex.
//
// A lookup may overlap a writer because it reads only two things: the cells,
// for which CompactWords states the argument, and the atomic stored_end_.  Once
// other threads may look words up, stored_end_ only grows: after the words
// below its new value are stored as identity words, and before one of them is
// set.  Words are never removed, so a thread that keeps the domain alive may
// continue to look words up, and finds the domain's last words.
//
// The generation is odd from before the first change of a replacement until
// after the last.  It only grows, except in RestartGeneration().

#ifndef SIMVISOR_DOMAIN_P2M_P2M_WORDS_H_
#define SIMVISOR_DOMAIN_P2M_P2M_WORDS_H_

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/collections/compact_words.h"
#include "domain/p2m/change_permit.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// The words that a range is filled with: all INVALID, each IDENTITY(pfn), or
// RAM at consecutive frames.
struct RangeFill {
  P2mClass p2m_class;  // kMissing, kIdentity or kRam
  Mfn first_mfn;       // of kRam

  static RangeFill Missing() { return {P2mClass::kMissing, Mfn()}; }
  static RangeFill Identity() { return {P2mClass::kIdentity, Mfn()}; }
  static RangeFill Ram(Mfn first) { return {P2mClass::kRam, first}; }
};

// `next` begins where `run` ends.  If it continues the run, as `merge` defines,
// adds it to `run` and returns true.
bool ExtendRun(P2mRun& run, const P2mRun& next, RunMerge merge);

class P2mWords;

// Counts the words by class, and sets p2m_size.
P2mSummary CountWords(const P2mWords& words);

// Fills `page` with the words of the leaf that begins at `first`, as the guest
// stores them.
// REQUIRES: the leaf ends at words.size() or before.
void RenderWords(const P2mWords& words, Pfn first, absl::Span<char> page);

class P2mWords {
 public:
  // Makes an empty array with room for `capacity` words.
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED; see CompactWords for
  // `faults`.
  static absl::StatusOr<std::unique_ptr<P2mWords>> Create(
      const Abi& abi, Pfn capacity, AllocationFaults* faults = nullptr);

  P2mWords(const P2mWords&) = delete;
  P2mWords& operator=(const P2mWords&) = delete;

  const Abi& abi() const { return *abi_; }
  Pfn capacity() const { return Pfn(cells_.capacity()); }
  // One past the last pfn with a word.
  Pfn size() const { return Pfn(size_.load(std::memory_order_acquire)); }

  // --- Lookups ---------------------------------------------------------------

  // p2m.md A4: the word with its flag bits; any pfn has an answer.
  P2mWord Lookup(Pfn pfn) const {
    if (pfn.value() < stored_end_.load(std::memory_order_acquire)) {
      return FromCell(cells_.Get(pfn.value()));
    }
    return P2mWord::Identity(pfn);
  }

  // Lookup() for many pfns; see CompactWords::Reader.
  // REQUIRES: the words are not destroyed or resized while the Reader is used.
  class Reader {
   public:
    explicit Reader(const P2mWords& words)
        : cells_(words.cells_.reader()),
          stored_end_(words.stored_end_.load(std::memory_order_acquire)) {}

    P2mWord Lookup(Pfn pfn) const {
      if (pfn.value() < stored_end_) return FromCell(cells_.Get(pfn.value()));
      return P2mWord::Identity(pfn);
    }

   private:
    CompactWords::Reader cells_;
    uint64_t stored_end_;
  };

  // The longest run that starts at `pfn`, cut at `end`.
  // REQUIRES: pfn < end <= size().
  P2mRun RunAt(Pfn pfn, Pfn end, RunMerge merge) const;
  // Like RunAt() with kByFrame, but the next piece may continue the run.
  P2mRun PieceAt(Pfn pfn, Pfn end) const { return ToWords(CellsAt(pfn, end)); }

  // Appends the frames of the RAM words of `pfns`, in pfn order.  Visits about
  // max_runs runs at most, and returns the pfn to continue from.
  // REQUIRES: pfns is not empty and ends at size() or before.
  Pfn CollectFrames(PfnExtent pfns, size_t max_runs,
                    std::vector<MfnExtent>& frames) const;

  // --- Size; changes before other threads may look words up ------------------

  // Makes the words end at `size`.  Words from `identity_from` on are identity
  // and take no memory; words between the old end and `identity_from` are
  // INVALID.
  // REQUIRES: identity_from <= size <= capacity(), and identity_from is `size`
  // or begins a mid; the array does not grow over pfns that had words before.
  void Resize(Pfn size, Pfn identity_from);
  void Resize(Pfn size) { Resize(size, size); }

  // --- Stores.  REQUIRES: pfns are below size() ------------------------------

  void Store(const ChangePermit& permit, Pfn pfn, P2mWord word);
  void Fill(const ChangePermit& permit, PfnExtent pfns, const RangeFill& fill);
  // Stores RAM words for the frames of one extent after the other, from `first`
  // on.
  void StoreFrames(const ChangePermit& permit, Pfn first,
                   absl::Span<const MfnExtent> frames);

  // A permit for words that no other thread can see yet.
  // REQUIRES: MarkPublished() was not called.
  const ChangePermit& PermitWhileNew() const {
    static constexpr ChangePermit kWhileNew;
    assert(!published_);
    return kWhileNew;
  }
  // Notes that other threads may look words up from now on.
  void MarkPublished() { published_ = true; }

  // --- Generation ------------------------------------------------------------

  // Odd while a mapping changes; grows by 2 per replaced PTE page or leaf.
  uint64_t generation() const {
    return generation_.load(std::memory_order_acquire);
  }
  // Called before and after the replacement of PTE pages or leaves.
  // REQUIRES: replaced > 0.
  void BeginReplacement() {
    generation_.fetch_add(1, std::memory_order_acq_rel);
  }
  void EndReplacement(uint64_t replaced) {
    assert(replaced > 0);
    generation_.fetch_add(2 * replaced - 1, std::memory_order_acq_rel);
  }
  // Resets the generation to 0: at relocation, and when the list is published
  // for tools.
  void RestartGeneration() { generation_.store(0, std::memory_order_release); }

 private:
  P2mWords(const Abi& abi, CompactWords cells);

  // A cell is word + 1, so a zero cell is INVALID, and consecutive numbers are
  // consecutive cells.
  static P2mWord FromCell(uint64_t cell) { return P2mWord::FromRaw(cell - 1); }
  static uint64_t ToCell(P2mWord word) { return word.raw() + 1; }
  static CompactWords::Fill CellFill(Pfn first, const RangeFill& fill);
  // The longest run of words at the start of a run of cells.
  static P2mRun ToWords(const CompactWords::Run& cells);

  Pfn stored_end() const {
    return Pfn(stored_end_.load(std::memory_order_relaxed));
  }
  // Like CompactWords::RunAt() and ForEachRun(), but including words that are
  // not stored.
  CompactWords::Run CellsAt(Pfn first, Pfn limit) const;
  template <typename Visit>
  void ForEachRun(PfnExtent pfns, Visit visit) const;
  // Stores all words below `end` that are not stored yet.
  // REQUIRES: end <= size().
  void StoreUpTo(Pfn end);

  const Abi* abi_;
  CompactWords cells_;
  std::atomic<uint64_t> size_ = 0;
  std::atomic<uint64_t> stored_end_ = 0;  // at most size_
  std::atomic<uint64_t> generation_ = 0;
  bool published_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_WORDS_H_
