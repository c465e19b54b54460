#include "server/machine/heap_trim.h"

#include <malloc.h>

namespace simvisor::server {

HeapTrimmer::HeapTrimmer(Executor executor, std::function<void()> trim,
                         const HeapTrimRule& rule)
    : executor_(std::move(executor)),
      trim_(trim != nullptr ? std::move(trim) : [] { malloc_trim(0); }),
      rule_(rule) {}

void HeapTrimmer::OnGone(uint32_t left, PageStore::Use contents) {
  {
    absl::MutexLock lock(&mu_);
    if (!rule_.OnGone(left, contents)) return;
  }
  executor_(trim_);
}

}  // namespace simvisor::server
