// Memory for what guests' pages hold, apart from the heap and within a limit.
//
// Pages are cut from chunks that are mapped for them alone.  A page that comes
// back keeps its memory for the next one, until some MiB are kept like that:
// then the system gets all of it back, and chunks that are free as a whole are
// unmapped.  So a guest that goes leaves nothing behind, whoever else wrote to
// pages beside its own.
//
// Pages are counted while they exist, by whoever they are held.  Beyond the
// limit none is given but by TakeAnyway().
//
// Costs: a page 4096 bytes, and a chunk of 16 MiB another 1.1 KB.
//
// Units: pages of 4096 bytes.
//
// Thread safety: thread-safe.  Its mutex is taken last, behind the pool's.

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
#include "domain/collections/address_space.h"
#include "domain/units/units.h"

namespace simvisor {

using Page = std::array<char, kPageSize>;

class PageStore {
 private:
  struct Chunk;

 public:
  // Gives a page back to its store.
  class Return {
   public:
    Return() = default;
    void operator()(Page* page) const;

   private:
    friend class PageStore;
    Return(PageStore* store, Chunk* chunk) : store_(store), chunk_(chunk) {}

    PageStore* store_ = nullptr;
    Chunk* chunk_ = nullptr;  // null for a page of the heap
  };
  // A page of a store, which must outlive it.
  using Ptr = std::unique_ptr<Page, Return>;

  // A limit of 0 stands for none.  `faults`, if not null, is asked by Take()
  // and outlives the store.
  explicit PageStore(PageCount limit = PageCount(0),
                     AllocationFaults* faults = nullptr);
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;
  // REQUIRES: every page has come back.
  ~PageStore();

  // Appends `count` pages of zeros to `pages`, or none.  Messages name `owner`,
  // the domain that they are for, and `operation`.
  //
  // RESOURCE_EXHAUSTED GUEST_CONTENTS_EXHAUSTED beyond the limit,
  // DAEMON_MEMORY_EXHAUSTED if the system refuses, or would have next to
  // nothing left for others, or `faults` in its place.
  absl::Status Take(DomainId owner, absl::string_view operation, size_t count,
                    std::vector<Ptr>& pages) ABSL_LOCKS_EXCLUDED(mu_);
  // A page of zeros in any case, for what must not fail; out of the heap if the
  // system refuses another chunk.
  Ptr TakeAnyway() ABSL_LOCKS_EXCLUDED(mu_);

  PageCount limit() const { return limit_; }
  // Pages that exist.
  PageCount used() const {
    return PageCount(used_.load(std::memory_order_relaxed));
  }

  // Pages that existed at most since the last call, and that do now.
  struct Use {
    PageCount most, now;
  };
  Use TakeUse() ABSL_LOCKS_EXCLUDED(mu_);

  // Memory that pages kept which have come back; at most kMostKept pages.
  PageCount kept() const ABSL_LOCKS_EXCLUDED(mu_);
  static constexpr uint32_t kMostKept = 1024;

 private:
  using Chunks = std::list<Chunk>;

  // Makes room for `count` pages in roomy_; false if the system refuses.
  bool MakeRoom(size_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // REQUIRES: there is room.
  Ptr TakePage() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountTaken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void GiveBack(Page* page, Chunk* chunk) ABSL_LOCKS_EXCLUDED(mu_);
  // Gives the memory that free pages keep to the system.
  void Trim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const PageCount limit_;
  AllocationFaults* const faults_;
  std::atomic<uint64_t> used_ = 0;  // written under mu_
  // Bounded by the limit already.
  AddressSpace space_{~uint64_t{0}};

  mutable absl::Mutex mu_;
  Chunks roomy_ ABSL_GUARDED_BY(mu_);  // have free pages
  Chunks full_ ABSL_GUARDED_BY(mu_);
  uint64_t most_used_ ABSL_GUARDED_BY(mu_) = 0;  // since TakeUse()
  uint64_t room_ ABSL_GUARDED_BY(mu_) = 0;       // free pages of all chunks
  uint64_t kept_ ABSL_GUARDED_BY(mu_) = 0;       // of these, pages with memory
};

using PagePtr = PageStore::Ptr;

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_FRAMES_PAGE_STORE_H_
