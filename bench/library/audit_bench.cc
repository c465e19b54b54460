// The audit of a whole host, and how long a host takes to start.
//
//   audit/WHOSE/POOL/SIZE     one domain
//   audit/ours/domains/COUNT  domains of 1 GiB
//   host_start/ours/SIZE      machine and dom0, made and destroyed
//
// The dense design reads the m2p word for each p2m word.

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/library/check.h"
#include "bench/library/machines.h"
#include "bench/library/register.h"
#include "benchmark/benchmark.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

void RunAudit(benchmark::State& state, const Host& host) {
  for (auto _ : state) {
    const AuditReport report = host.Audit();
    if (!report.findings.empty()) {
      MustBeOk(absl::InternalError(report.findings.front()));
    }
  }
}

void Audit(benchmark::State& state, Placement placement, uint64_t gib) {
  const auto host = NewHost(2 * gib, placement);
  MustCreate(*host, MakeSpec("guest", PageCount(gib * kPagesPerGiB)));
  RunAudit(state, *host);
}

void AuditDomains(benchmark::State& state, int count) {
  const auto host = NewHost(2 * count, Placement::kLowest);
  for (int i = 0; i < count; ++i) {
    MustCreate(*host,
               MakeSpec(absl::StrCat("guest", i), PageCount(kPagesPerGiB)));
  }
  RunAudit(state, *host);
}

void AuditDense(benchmark::State& state, DenseMachine::Placement placement,
                uint64_t gib) {
  DenseMachine machine(2 * gib * kPagesPerGiB, placement);
  const DenseGuest guest = machine.Create(1, gib * kPagesPerGiB);
  for (auto _ : state) benchmark::DoNotOptimize(machine.Audit(guest));
}

void StartHost(benchmark::State& state, uint64_t gib) {
  for (auto _ : state) NewHost(gib, Placement::kLowest);
}

void RegisterPair(Pool pool, uint64_t gib) {
  const bool scatter = pool == Pool::kScatter;
  const std::string rest = absl::StrCat(NameOf(pool), "/", SizeName(gib));
  benchmark::RegisterBenchmark(
      absl::StrCat("audit/ours/", rest).c_str(), Audit,
      scatter ? Placement::kScatter : Placement::kLowest, gib)
      ->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark(absl::StrCat("audit/dense/", rest).c_str(),
                               AuditDense,
                               scatter ? DenseMachine::Placement::kScatter
                                       : DenseMachine::Placement::kLowest,
                               gib)
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void RegisterAudit() {
  for (const uint64_t gib : {1, 64}) RegisterPair(Pool::kWhole, gib);
  for (const uint64_t gib : {1, 4}) RegisterPair(Pool::kScatter, gib);
  benchmark::RegisterBenchmark("audit/ours/domains/1000", AuditDomains, 1000)
      ->Unit(benchmark::kMicrosecond);
  for (const uint64_t gib : {16, 16 << 10}) {
    benchmark::RegisterBenchmark(
        absl::StrCat("host_start/ours/", SizeName(gib)).c_str(), StartHost, gib)
        ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace simvisor::bench
