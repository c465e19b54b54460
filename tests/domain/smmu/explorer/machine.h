// The frames and the words of a small domain.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_MACHINE_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_MACHINE_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "domain/smmu/secondary_mmu.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

class ExplorerMachine : public PfnResolver {
 public:
  // Pfns 0, 1, ... are in frames 100, 101, ..., and `spare` frames are free.
  ExplorerMachine(uint64_t pages, uint64_t spare) {
    uint64_t mfn = 100;
    for (; words_.size() < pages; ++mfn) {
      words_.push_back(P2mWord::Ram(Mfn(mfn)));
    }
    for (; spare > 0; --spare) free_.insert(mfn++);
  }

  P2mWord Lookup(Pfn pfn) const override {
    return pfn.value() < words_.size() ? words_[pfn.value()] : P2mWord();
  }
  bool IsRam(uint64_t pfn) const { return Lookup(Pfn(pfn)).is_ram(); }
  uint64_t size() const { return words_.size(); }
  bool has_free() const { return !free_.empty(); }

  // Frees the frame of `pfn`, which becomes missing.  REQUIRES: it is RAM.
  void Free(uint64_t pfn) {
    free_.insert(words_[pfn].Number());
    words_[pfn] = P2mWord();
  }
  // Gives `pfn` the lowest free frame.  REQUIRES: it is missing; has_free().
  void Take(uint64_t pfn) {
    words_[pfn] = P2mWord::Ram(Mfn(*free_.begin()));
    free_.erase(free_.begin());
  }
  // Gives `pfn` another frame and frees the one that it had.
  // REQUIRES: it is RAM; has_free().
  void Replace(uint64_t pfn) {
    const uint64_t old = words_[pfn].Number();
    words_[pfn] = P2mWord();
    Take(pfn);
    free_.insert(old);
  }

  void AppendState(std::string& text) const {
    for (const P2mWord word : words_) absl::StrAppend(&text, word.raw(), " ");
    for (const uint64_t mfn : free_) absl::StrAppend(&text, "f", mfn);
  }

 private:
  std::vector<P2mWord> words_;
  std::set<uint64_t> free_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_EXPLORER_MACHINE_H_
