// Gives the memory of guests that have gone back to the system.
//
// The heap keeps what is freed (see main.cc), which after thousands of guests
// is hundreds of MiB that nobody may need again, and after one that has written
// a GiB some ten.  Looking through the heap for whole free pages takes
// milliseconds, so it is done once many guests are gone, or much of what they
// held: see HeapTrimRule.
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

// When it is worth while: half of the guests that were there since the last
// time have gone, and they were many; or the last of many has gone.  So to take
// down any number of them costs about as many trims as that number can be
// halved, and guests that come and go one by one cost none.  The same holds of
// the pages that held something.
class HeapTrimRule {
 public:
  static constexpr uint32_t kMany = 256;
  static constexpr PageCount kManyPages{64 * kPagesPerMiB};

  HeapTrimRule() = default;
  // With other bounds; both at least 1.
  HeapTrimRule(uint32_t many, PageCount many_pages)
      : many_(many), many_pages_(many_pages) {}

  // A guest has gone, and so many are left; whether to trim.  `contents`: what
  // there was since the last guest has gone, and is now.
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
  uint32_t most_ = 0;   // since the last time
  uint32_t crowd_ = 0;  // since there was none
  PageCount most_pages_;
};

class HeapTrimmer {
 public:
  // `trim` gives back every whole free page of the heap if it is null.
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
