// Returns the memory of destroyed guests to the system.
//
// The heap keeps what is freed (see main.cc): hundreds of MiB after thousands
// of guests, and some ten MiB after one that has written a GiB, which may never
// be needed again.  Searching the heap for whole free pages takes milliseconds,
// so this is done only once many guests are gone, or much of what they held;
// see HeapTrimRule.
//
// Thread safety: HeapTrimRule thread-compatible; HeapTrimmer thread-safe.

#ifndef SIMVISOR_SERVER_MACHINE_HEAP_TRIM_H_
#define SIMVISOR_SERVER_MACHINE_HEAP_TRIM_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "domain/frames/page_store.h"
#include "domain/units/units.h"
#include "server/threads/executor.h"

namespace simvisor::server {

// When to trim: half of the guests that existed since the last trim are gone,
// and they were many; or the last of many is gone.  So destroying n guests
// costs about log2(n) trims, and guests that come and go one by one cost none.
// The same holds for the pages that had contents.
class HeapTrimRule {
 public:
  static constexpr uint32_t kMany = 256;
  static constexpr PageCount kManyPages{64 * kPagesPerMiB};

  HeapTrimRule() = default;
  // With other bounds; both at least 1.
  HeapTrimRule(uint32_t many, PageCount many_pages)
      : many_(many), many_pages_(many_pages) {}

  // A guest is gone, and `left` remain; returns whether to trim.  `contents`:
  // the use of the page store now, and its maximum since the last call.
  bool OnGone(uint32_t left, PageStore::Use contents) {
    const bool guests = TrimForGuests(left);
    const bool pages = TrimForPages(contents);
    return guests || pages;
  }

 private:
  bool TrimForGuests(uint32_t left) {
    most_ = std::max(most_, left + 1);
    crowd_ = std::max(crowd_, most_);
    const bool trim = left == 0 ? crowd_ >= many_
                                : left <= most_ / 2 && most_ - left >= many_;
    if (trim) most_ = left;
    if (left == 0) crowd_ = 0;
    return trim;
  }
  bool TrimForPages(PageStore::Use contents) {
    most_pages_ = std::max(most_pages_, contents.most);
    const bool trim = contents.now <= PageCount(most_pages_.value() / 2) &&
                      most_pages_ - contents.now >= many_pages_;
    if (trim) most_pages_ = contents.now;
    return trim;
  }

  uint32_t many_ = kMany;
  PageCount many_pages_ = kManyPages;
  uint32_t most_ = 0;   // since the last trim
  uint32_t crowd_ = 0;  // since there were no guests
  PageCount most_pages_;
};

class HeapTrimmer {
 public:
  // If `trim` is null, returns every whole free page of the heap to the system.
  HeapTrimmer(Executor executor, std::function<void()> trim,
              const HeapTrimRule& rule = HeapTrimRule());

  // See HeapTrimRule.
  void OnGone(uint32_t left, PageStore::Use contents) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const Executor executor_;
  const std::function<void()> trim_;

  absl::Mutex mu_;
  HeapTrimRule rule_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MACHINE_HEAP_TRIM_H_
