#include "server/machine/heap_trim.h"

#include <malloc.h>

namespace simvisor::server {

HeapTrimmer::HeapTrimmer(Submit submit)
    : HeapTrimmer(std::move(submit), [] { malloc_trim(0); }) {}

void HeapTrimmer::OnGone(uint32_t left, PageStore::Use contents) {
  {
    absl::MutexLock lock(&mu_);
    if (!rule_.OnGone(left, contents)) return;
  }
  submit_(trim_);
}

}  // namespace simvisor::server
