// Checks calls that cannot fail in a benchmark.  If one fails, ends the program
// with its status, because figures of a failed call are worthless.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_LIBRARY_CHECK_H_
#define SIMVISOR_BENCH_LIBRARY_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace simvisor::bench {

inline void MustBeOk(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "library_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}

template <typename T>
T MustHave(absl::StatusOr<T> result) {
  MustBeOk(result.status());
  return *std::move(result);
}

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_CHECK_H_
