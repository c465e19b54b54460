#include "bench/baselines/word_array.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace simvisor::bench {
namespace {

uint64_t* MapOrExit(size_t bytes) {
  void* const mapping =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping != MAP_FAILED) return static_cast<uint64_t*>(mapping);
  std::perror("mmap");
  std::exit(1);
}

}  // namespace

WordArray::WordArray(uint64_t size, Pages pages)
    : words_(MapOrExit(size * sizeof(uint64_t)),
             Unmap{size * sizeof(uint64_t)}) {
  if (pages == Pages::kHuge) {
    madvise(words_.get(), size * sizeof(uint64_t), MADV_HUGEPAGE);
  }
}

void WordArray::Unmap::operator()(uint64_t* words) const {
  munmap(words, bytes);
}

}  // namespace simvisor::bench
