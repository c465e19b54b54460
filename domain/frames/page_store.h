// Memory for the contents of guests' pages, separate from the heap and limited.
//
// Pages are cut from chunks that are mapped only for them.  A returned page
// keeps its memory for the next one until a few MiB are kept like that; then
// all of it goes back to the system, and chunks that are entirely free are
// unmapped.  So a destroyed guest leaves nothing behind, even if other guests'
// pages share its chunks.
//
// Every existing page counts, no matter which owner holds it.  Beyond the limit
// only TakeAnyway() still gives pages.
//
// Costs: 4096 bytes per page, and another 1.1 KB per chunk of 16 MiB.
//
// Units: pages of 4096 bytes.
//
// Thread safety: thread-safe.  Its mutex is taken last, after the pool's.

#ifndef SIMVISOR_DOMAIN_FRAMES_PAGE_STORE_H_
#define SIMVISOR_DOMAIN_FRAMES_PAGE_STORE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/allocation_faults.h"
#include "domain/collections/mapping_budget.h"
#include "domain/units/units.h"

namespace simvisor {

using Page = std::array<char, kPageSize>;

class PageStore {
 private:
  struct Chunk;

 public:
  // Deleter that returns a page to its store.
  class Return {
   public:
    Return() = default;
    void operator()(Page* page) const;

   private:
    friend class PageStore;
    Return(PageStore* store, Chunk* chunk) : store_(store), chunk_(chunk) {}

    PageStore* store_ = nullptr;
    Chunk* chunk_ = nullptr;  // null for a page from the heap
  };
  // A page of a store, which must outlive it.
  using Ptr = std::unique_ptr<Page, Return>;

  // A limit of 0 means no limit.  `faults`, if not null, may make Take() fail;
  // it must outlive the store.
  explicit PageStore(PageCount limit = PageCount(0),
                     AllocationFaults* faults = nullptr);
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;
  // REQUIRES: every page has come back.
  ~PageStore();

  // Appends `count` pages of zeros to `pages`, or no page.
  //
  // RESOURCE_EXHAUSTED GUEST_CONTENTS_EXHAUSTED beyond the limit;
  // DAEMON_MEMORY_EXHAUSTED if the system refuses the memory or would have next
  // to nothing left for others, or `faults` fails the allocation.
  absl::Status Take(size_t count, std::vector<Ptr>& pages)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Returns a page of zeros and never fails, for callers that must not fail;
  // takes it from the heap if the system refuses another chunk.
  Ptr TakeAnyway() ABSL_LOCKS_EXCLUDED(mu_);

  PageCount limit() const { return limit_; }
  // How many pages exist.
  PageCount used() const {
    return PageCount(used_.load(std::memory_order_relaxed));
  }

  // The most pages that existed since the last call, and how many exist now.
  struct Use {
    PageCount most, now;
  };
  Use TakeUse() ABSL_LOCKS_EXCLUDED(mu_);

  // Memory kept by returned pages; at most kMostKept pages.
  PageCount kept() const ABSL_LOCKS_EXCLUDED(mu_);
  static constexpr uint32_t kMostKept = 1024;

 private:
  using Chunks = std::list<Chunk>;

  // Makes room for `count` pages in roomy_; false if the system refuses.
  bool MakeRoom(size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // REQUIRES: roomy_ is not empty.
  Ptr TakePage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountTaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveBack(Page* page, Chunk* chunk) ABSL_LOCKS_EXCLUDED(mu_);
  // Returns the memory of free pages to the system.
  void Trim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const PageCount limit_;
  AllocationFaults* const faults_;
  std::atomic<uint64_t> used_ = 0;  // written under mu_
  // No bound of its own: limit_ bounds it already.
  MappingBudget budget_{~uint64_t{0}};

  mutable absl::Mutex mu_;
  Chunks roomy_ ABSL_GUARDED_BY(mu_);  // have free pages
  Chunks full_ ABSL_GUARDED_BY(mu_);
  uint64_t most_used_ ABSL_GUARDED_BY(mu_) = 0;  // since TakeUse()
  uint64_t room_ ABSL_GUARDED_BY(mu_) = 0;       // free pages of all chunks
  uint64_t kept_ ABSL_GUARDED_BY(mu_) = 0;       // free pages with memory
};

using PagePtr = PageStore::Ptr;

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_PAGE_STORE_H_
