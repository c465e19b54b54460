// The subjects of library_bench; each registers its benchmarks.
//
// Names are SUBJECT/WHOSE/..., where WHOSE is `ours` or a baseline.  For a
// benchmark that sets items processed, read the figure per item (lookup, page,
// frame); for any other, per iteration.
//
// Thread safety: one thread.

#ifndef SIMVISOR_BENCH_LIBRARY_REGISTER_H_
#define SIMVISOR_BENCH_LIBRARY_REGISTER_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace simvisor::bench {

// "64GiB", "4TiB".
inline std::string SizeName(uint64_t gib) {
  return gib < 1024 ? absl::StrCat(gib, "GiB")
                    : absl::StrCat(gib / 1024, "TiB");
}

void RegisterLookups();
void RegisterCreation();
void RegisterBalloon();
void RegisterIdentity();
void RegisterTree();
void RegisterFrames();
void RegisterAudit();
void RegisterBytes();

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_REGISTER_H_
