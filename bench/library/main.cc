// library_bench: the costs of the domain library, compared with plain designs.
//
// Takes the options of Google Benchmark; scripts/bench.sh passes those with
// which the figures in bench/README.md were measured.

#include <malloc.h>

#include "bench/library/register.h"
#include "benchmark/benchmark.h"

int main(int argc, char** argv) {
  // Same as in simvisord.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 16 << 20);

  simvisor::bench::RegisterLookups();
  simvisor::bench::RegisterCreation();
  simvisor::bench::RegisterBalloon();
  simvisor::bench::RegisterIdentity();
  simvisor::bench::RegisterTree();
  simvisor::bench::RegisterFrames();
  simvisor::bench::RegisterAudit();
  simvisor::bench::RegisterBytes();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
