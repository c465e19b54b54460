// The guest of the cases about secondary MMUs: pfn p of a case is in frame
// mfn_base + p, and every RAM page of it is free.
//
// A guest that has booted keeps its kernel and its p2m list in some of its own
// pages.  So a case's pfns are a window of a larger guest, whose pages are the
// highest free ones.  Numbers are translated by adding and subtracting, except
// the frames of another domain.  The `spare` frames behind the window are the
// guest's own, in no word, since a word can be given no other frames.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_MMU_MMU_GUEST_H_
#define SIMVISOR_TESTS_VECTORS_MMU_MMU_GUEST_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/allocation_faults.h"
#include "domain/host/host.h"
#include "domain/units/change_waiter.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"

namespace simvisor {

class MmuGuest {
 public:
  struct Layout {
    uint64_t pages = 0;
    uint64_t mfn_base = 4096;
    uint64_t spare = 4;
    std::vector<uint64_t> missing;
    std::map<uint64_t, uint64_t> foreign;  // frames by pfn
  };

  // Both must outlive it.
  MmuGuest(const Layout& layout, ChangeWaiter& waiter,
           AllocationFaults& faults);

  Host& host() { return *host_; }
  Domain& domain() { return *domain_; }
  const std::shared_ptr<Domain>& shared() { return domain_; }

  // The guest saved and restored on another machine, with the first page of the
  // window in `mfn_base`.  The old one is destroyed.
  // REQUIRES: it is suspended, and no change waits.
  void Arrive(uint64_t mfn_base);
  // What a case calls a suspension for a migration.
  const std::string& migration_word() const { return migration_word_; }
  void CallMigration(std::string word) { migration_word_ = std::move(word); }
  void Suspended(SuspendRecord record) { record_ = std::move(record); }

  // A case's numbers to the guest's, and back.
  Pfn PfnOf(uint64_t pfn) const { return Pfn(pfn) + (window_ - Pfn(0)); }
  PfnExtent PfnsOf(uint64_t lo, uint64_t hi) const;
  Mfn MfnOf(uint64_t mfn) const;
  uint64_t FromPfn(Pfn pfn) const { return (pfn - window_).value(); }
  uint64_t FromMfn(Mfn mfn) const;
  bool IsInWindow(Pfn pfn) const {
    return PfnExtent{window_, PageCount(layout_.pages)}.Contains(pfn);
  }
  std::string TextOf(P2mWord word) const;

  // Frames that are free, as a case counts them.
  uint64_t Free() const;
  // Free pages of the window.
  uint64_t FreePages() const;
  uint64_t Ram() const {
    return layout_.pages - layout_.missing.size() - layout_.foreign.size();
  }
  // Frames of the domain that a case does not know: `freed` frames of which
  // the pool got `freed` minus these.
  uint64_t SpareFrames() const;
  uint64_t Structure() const { return structure_; }
  void Destroyed() { destroyed_ = true; }

 private:
  void ChooseWindow();
  void MapForeign();
  PfnExtent Window() const { return {window_, PageCount(layout_.pages)}; }

  const Layout layout_;
  ChangeWaiter& waiter_;
  AllocationFaults& faults_;
  std::unique_ptr<Host> host_;
  std::shared_ptr<Domain> domain_, owner_;
  Pfn window_;
  Mfn first_;  // the frame of the window's first pfn
  uint64_t mfn_base_;
  std::map<uint64_t, Mfn> foreign_;  // by the case's number
  std::map<Mfn, uint64_t> from_foreign_;
  uint64_t base_free_ = 0;
  uint64_t structure_ = 0;
  bool destroyed_ = false;
  SuspendRecord record_;
  std::string migration_word_ = "migrate";
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_MMU_MMU_GUEST_H_
