// Times one call, for benchmarks with untimed work in between.
//
// Thread safety: a pure function.

#ifndef SIMVISOR_BENCH_LIBRARY_STOPWATCH_H_
#define SIMVISOR_BENCH_LIBRARY_STOPWATCH_H_

#include <chrono>

namespace simvisor::bench {

template <typename Call>
double SecondsOf(Call call) {
  const auto before = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                       before)
      .count();
}

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_LIBRARY_STOPWATCH_H_
