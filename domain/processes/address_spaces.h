// The processes of a PAE guest, as far as their kernel page tables go.
//
// Each has a top-level table of four entries and page middle directories (pmds)
// below it.  Without shared_kernel_pmd, as under Xen, the table is a page of
// its own, and all four pmds are the process's.  The pmds of the kernel's
// entries are copies of the kernel's own, the master's, and the table is on
// pgd_list, so that the kernel can reach every copy.  With shared_kernel_pmd
// the table is a 32-byte object of a slab, only user entries have pmds, and
// nothing is listed.  Frames and order of allocation are those of pgd_alloc()
// in arch/x86/mm/pgtable.c.
//
// The p2m area begins where the last top-level entry does, so its PMD entries
// are the first ones of that entry's pmd.  Every listed table really holds
// them: a pfn is translated through the entry that the process has, and copies
// stay true because the list announces each changed entry (PmdListener).  The
// master's pmds have no page here; entries that share them read as absent.
//
// Representation: per process the numbers of its pages and of the PTE pages
// that its area entries name, 32 bits each (PAE pfns end at 2^30).
//
// Thread safety: thread-compatible; Domain serialises with its mutex, which
// stands for pgd_lock.

#ifndef SIMVISOR_DOMAIN_PROCESSES_ADDRESS_SPACES_H_
#define SIMVISOR_DOMAIN_PROCESSES_ADDRESS_SPACES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "domain/collections/state_codec.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/page_source.h"
#include "domain/p2m/pmd_listener.h"
#include "domain/processes/address_space_types.h"
#include "domain/processes/table_slab.h"
#include "domain/units/operation.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

class AddressSpaces : public PmdListener {
 public:
  // No process yet; the master has the area's entries as the list has them now.
  // `list` must outlive this object; the caller makes it announce changes here.
  // REQUIRES: the list is a PAE one; user_pgds is 1 to 3.
  AddressSpaces(const PaeKernel& kernel, const P2mList& list);

  AddressSpaces(const AddressSpaces&) = delete;
  AddressSpaces& operator=(const AddressSpaces&) = delete;

  // Encode() writes what a saved guest notes about its processes.  Decode()
  // reads it into an object without processes; the area's entries are as the
  // list has them now.  It fails `in` unless ids ascend and are below the next
  // id, which is at least 1, every page is below `end` and `usable`, and no
  // page has two uses.
  void Encode(StateWriter& out) const;
  using Usable = absl::FunctionRef<bool(Pfn)>;
  void Decode(StateReader& in, Pfn end, Usable usable);

  // Pages that `count` more processes take.
  PageCount PagesToCreate(uint64_t count) const;

  // Makes `count` processes and returns the id of the first; the others follow.
  // Per process the top-level table is taken first, then the pmds by ascending
  // entry.
  //
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if `source` runs dry, or the
  // status of `stop`: everything is undone in reverse, and no id is used up.
  absl::StatusOr<uint64_t> Create(uint64_t count, PageSource& source,
                                  StopCheck stop);

  // Ends processes and returns their pages.  Fails without changing anything:
  // NOT_FOUND ADDRESS_SPACE_NOT_FOUND; INVALID_ARGUMENT ARGUMENT_MALFORMED for
  // an id that is named twice; the status of `stop`, which is not asked once
  // the first has ended.
  absl::Status Destroy(absl::Span<const uint64_t> ids, PageSource& source,
                       StopCheck stop);

  // Appends processes with ids from first_id on, ascending, at most `max`.
  void List(uint64_t first_id, size_t max,
            std::vector<AddressSpaceInfo>& spaces) const;
  AddressSpaceTotals totals() const;

  // Appends the words of `pfns` as the process sees them.  Fails without
  // appending: NOT_FOUND ADDRESS_SPACE_NOT_FOUND, OUT_OF_RANGE PFN_OUT_OF_RANGE
  // past the area.
  absl::Status Translate(uint64_t id, absl::Span<const uint64_t> pfns,
                         std::vector<P2mWord>& words) const;

  // vmalloc_sync_all(): copies entries of the master that differ into listed
  // tables.  When `stop` ends it, tables walked so far are up to date.
  absl::StatusOr<AddressSpaceSync> Sync(StopCheck stop);

  // Rewrites entries of the kernel's own tables.  Listed tables keep what they
  // have until Sync(), and translations through them are stale where an entry
  // was present before.
  void ReplaceInMaster(uint64_t first_entry, absl::Span<const Pfn> pte_pages);
  // Rewrites the entries in the master and, with it, in every listed table.
  void PmdsReplaced(uint64_t first_entry,
                    absl::Span<const Pfn> pte_pages) override;

  // Level of the page table at `pfn`, 3 or 2; 0 for other pages, and for pages
  // of tables that share one, which Xen would not take for a page table.
  int TableLevel(Pfn pfn) const;

  // Pages that hold tables and pmds.
  PageCount pages() const { return table_pages() + pmd_pages(); }
  // Whether one of `pfns` is such a page.
  bool Intersects(PfnExtent pfns) const;
  // The first such page from `pfn` on; None() if there is none.
  Pfn NextPageFrom(Pfn pfn) const;
  // Calls visit(extent) for all such pages, in no order.
  void ForEachPage(absl::FunctionRef<void(PfnExtent)> visit) const;
  // Fills `page` with what the page at `pfn` holds; false for another
  // page.
  bool RenderPage(Pfn pfn, absl::Span<char> page) const;

  // Checks pages against processes, and every copy of an area entry against
  // the master's and the list's.  INTERNAL with a finding.
  absl::Status CheckInvariants() const;

 private:
  // The number of a page, or kNoPage.
  using PageNumber32 = uint32_t;
  static constexpr PageNumber32 kNoPage =
      std::numeric_limits<PageNumber32>::max();
  static PageNumber32 Narrow(Pfn page) {
    return static_cast<PageNumber32>(page.value());
  }

  struct Space {
    PageNumber32 table_page = kNoPage;
    uint32_t table_number = 0;  // of the table in its page
    std::array<PageNumber32, kPaeTopEntries> pmds = {kNoPage, kNoPage, kNoPage,
                                                     kNoPage};
    // Its copies of the master's area entries; null if the pmd is shared.
    std::unique_ptr<PageNumber32[]> area;
  };
  // Consecutive pages of one process: pmds of consecutive entries, or a
  // table page of its own with the pmds behind it.
  struct Use {
    uint64_t id = 0;
    uint32_t first = 0;  // 0 for the table page, n + 1 for the pmd of entry n
    uint32_t count = 0;
  };

  bool shared() const { return kernel_.shared_kernel_pmd; }
  size_t pmds_per_space() const {
    return shared() ? static_cast<size_t>(kernel_.user_pgds) : kPaeTopEntries;
  }
  PageCount table_pages() const {
    return shared() ? slab_.pages() : PageCount(spaces_.size());
  }
  PageCount pmd_pages() const {
    return PageCount(spaces_.size() * pmds_per_space());
  }
  Mfn FrameOf(PageNumber32 page) const {
    return Mfn(list_.Lookup(Pfn(page)).Number());
  }

  // Reads one process.  Fails `in` and notes nothing if it makes no sense.
  void DecodeSpace(uint64_t id, StateReader& in, Pfn end, Usable usable);
  // Whether each page that `space` names is its own, or its slab's.
  bool HasOwnPages(const Space& space, Usable usable) const;
  // Makes one process.  False if `source` is empty; then no page is taken.
  bool Make(uint64_t id, PageSource& source);
  // Adds a process that has its pages; its id is the highest so far.
  void Enter(uint64_t id, Space space);
  bool TakeTable(uint64_t id, Space& space, PageSource& source);
  // Gives pages of `space` back, in the reverse of the order of allocation.
  void GiveBack(const Space& space, PageSource& source);
  void End(uint64_t id, PageSource& source);
  // Enters the pages of a process into uses_, or takes them out again.
  void NotePages(uint64_t id, const Space& space);
  void ForgetPages(const Space& space);
  // The process's pages but the slab's, in the order of Use.
  std::array<PageNumber32, kPaeTopEntries + 1> OwnPages(
      const Space& space) const;

  absl::Status NotFound(uint64_t id) const;
  absl::Status CheckIds(absl::Span<const uint64_t> ids, StopCheck stop) const;
  absl::Status CheckEntries(uint64_t id, const PageNumber32* entries) const;
  absl::Status CheckPages() const;
  // Rewrites an entry if it differs; returns whether it did.
  bool Rewrite(PageNumber32& entry, PageNumber32 pte_page);
  void RewriteAll(PageNumber32* entries, absl::Span<const Pfn> pte_pages);

  void RenderTable(const Space& space, absl::Span<char> table) const;
  void RenderPmd(const Space& space, size_t entry, absl::Span<char> page) const;

  const PaeKernel kernel_;
  const P2mList& list_;
  std::vector<PageNumber32> master_;  // area entries of the kernel's own tables
  absl::btree_map<uint64_t, Space> spaces_;  // unshared: also pgd_list
  absl::btree_map<Pfn, Use> uses_;           // by first page
  TableSlab slab_;                           // of tables, if shared
  uint64_t next_id_ = 1;
  uint64_t entries_rewritten_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_PROCESSES_ADDRESS_SPACES_H_
