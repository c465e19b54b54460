// What each pfn of a domain is: the words of its p2m list, without its shape.
//
// The array belongs to the domain and outlives what is made of it.  Before a
// guest has a list, its words are the m2p inverted: which frame the domain has
// at which pfn.  Afterwards they are what the guest's list says.  P2mList is a
// shape over them: which leaf has a page of its own, and which share one.
//
// Every word is stored as a lookup answers it, so leaves that share the page of
// identity words hold identity words here.  Words past the end are identity.
// So are those at the end, which need not be stored: the area of a list may
// reach far behind all memory.
//
// Thread safety: Lookup(), Reader, size() and generation() may be called from
// any thread at any time and take no lock, except while Resize() runs.  Callers
// serialise everything else; Domain does so with its mutex.
//
// A lookup overlaps a writer safely because it reads two things: the cells, for
// which CompactWords states the argument, and stored_end_, an atomic that, once
// other threads may look words up, only grows: when all the words below it are
// there, as identity words, and before one of them is set.  Words are never
// taken away, so a thread that keeps the domain alive may go on looking and
// finds what the domain held last.
//
// The generation is odd from before the first to after the last change of a
// replacement.  It only grows, except in RestartGeneration().

#ifndef SIMVISOR_DOMAIN_P2M_P2M_WORDS_H_
#define SIMVISOR_DOMAIN_P2M_P2M_WORDS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/collections/compact_words.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// What the words of a range become: all INVALID, each IDENTITY(pfn), or RAM at
// consecutive frames.
struct RangeFill {
  P2mClass p2m_class;  // kMissing, kIdentity or kRam
  Mfn first_mfn;       // of kRam

  static RangeFill Missing() { return {P2mClass::kMissing, Mfn()}; }
  static RangeFill Identity() { return {P2mClass::kIdentity, Mfn()}; }
  static RangeFill Ram(Mfn first) { return {P2mClass::kRam, first}; }
};

// Adds `next`, which begins where `run` ends, to it and returns true if it goes
// on as `merge` says.
bool ExtendRun(P2mRun& run, const P2mRun& next, RunMerge merge);

class P2mWords;

// The counts of words by class, and p2m_size.
P2mSummary CountWords(const P2mWords& words);

// Fills `page` with the words of the leaf that begins at `first`, as the guest
// stores them.  REQUIRES: the leaf ends at words.size() or before.
void RenderWords(const P2mWords& words, Pfn first, absl::Span<char> page);

class P2mWords {
 public:
  // No words, and room for `capacity` of them.
  // RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED; see CompactWords for
  // `faults`.
  static absl::StatusOr<std::unique_ptr<P2mWords>> Create(
      const Abi& abi, Pfn capacity, AllocationFaults* faults = nullptr);

  P2mWords(const P2mWords&) = delete;
  P2mWords& operator=(const P2mWords&) = delete;

  const Abi& abi() const { return *abi_; }
  Pfn capacity() const { return Pfn(cells_.capacity()); }
  // Where the words end.
  Pfn size() const { return Pfn(size_.load(std::memory_order_acquire)); }

  // --- Lookups ---------------------------------------------------------------

  // A4, flagged: any pfn has an answer.
  P2mWord Lookup(Pfn pfn) const {
    if (pfn.value() < stored_end_.load(std::memory_order_acquire)) {
      return FromCell(cells_.Get(pfn.value()));
    }
    return P2mWord::Identity(pfn);
  }

  // Lookup() for many pfns; see CompactWords::Reader.
  // REQUIRES: the words stay, and are not resized, while it is used.
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
  // As RunAt() with kByFrame, but the run may go on behind its end.
  P2mRun PieceAt(Pfn pfn, Pfn end) const { return ToWords(CellsAt(pfn, end)); }

  // Appends the frames of the RAM words of `pfns`, in pfn order, looking at
  // about max_runs runs at most; returns the pfn to go on from.
  // REQUIRES: pfns is not empty and ends at size() or before.
  Pfn CollectFrames(PfnExtent pfns, size_t max_runs,
                    std::vector<MfnExtent>& frames) const;

  // --- Where they end; before others may look words up -----------------------

  // The words end at `size`.  Those from `identity_from` on are identity, and
  // take no memory; those between the old end and it are INVALID.
  // REQUIRES: identity_from <= size <= capacity(), and identity_from is `size`
  // or begins a mid; they do not grow over pfns that they had before.
  void Resize(Pfn size, Pfn identity_from);
  void Resize(Pfn size) { Resize(size, size); }

  // --- All that stores.  REQUIRES: pfns are below size() ---------------------

  void Store(Pfn pfn, P2mWord word);
  void Fill(PfnExtent pfns, const RangeFill& fill);
  // RAM words of one extent after the other, from `first` on.
  void StoreFrames(Pfn first, absl::Span<const MfnExtent> frames);

  // --- Generation ------------------------------------------------------------

  // Odd while the mapping changes; moves by 2 per replaced PTE page and leaf.
  uint64_t generation() const {
    return generation_.load(std::memory_order_acquire);
  }
  // Around the replacement of PTE pages or leaves.  REQUIRES: replaced > 0.
  void BeginReplacement() {
    generation_.fetch_add(1, std::memory_order_acq_rel);
  }
  void EndReplacement(uint64_t replaced) {
    generation_.fetch_add(2 * replaced - 1, std::memory_order_acq_rel);
  }
  // It starts from 0 again: what tools see of the list is published anew.
  void RestartGeneration() { generation_.store(0, std::memory_order_release); }

 private:
  P2mWords(const Abi& abi, CompactWords cells);

  // A cell is word + 1, so that a zero cell is INVALID and numbers still count
  // up from cell to cell.
  static P2mWord FromCell(uint64_t cell) { return P2mWord::FromRaw(cell - 1); }
  static uint64_t ToCell(P2mWord word) { return word.raw() + 1; }
  static CompactWords::Fill CellFill(Pfn first, const RangeFill& fill);
  // The words that begin a run of cells, as many as are a run of words.
  static P2mRun ToWords(const CompactWords::Run& cells);

  Pfn stored_end() const {
    return Pfn(stored_end_.load(std::memory_order_relaxed));
  }
  // As CompactWords::RunAt() and ForEachRun(), of all words.
  CompactWords::Run CellsAt(Pfn first, Pfn limit) const;
  template <typename Visit>
  void ForEachRun(PfnExtent pfns, Visit visit) const;
  // Has all words below `end` stored.  REQUIRES: end <= size().
  void StoreUpTo(Pfn end);

  const Abi* abi_;
  CompactWords cells_;
  std::atomic<uint64_t> size_ = 0;
  std::atomic<uint64_t> stored_end_ = 0;  // at most size_
  std::atomic<uint64_t> generation_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_P2M_WORDS_H_
