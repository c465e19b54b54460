#include "bench/library/machines.h"

#include <array>
#include <cstdlib>
#include <utility>

#include "bench/library/check.h"
#include "domain/units/units.h"

namespace simvisor::bench {
namespace {

constexpr PageCount kDom0Memory{16 * kPagesPerMiB};

// Releases every second page of a domain that has taken all frames, so that
// only single frames are free.  Keeps the pages of the domain's own p2m list.
void ReleaseEverySecondPage(Host& host, PageCount pages) {
  const auto filler = MustCreate(host, MakeSpec("filler", pages));
  for (uint64_t pfn = 0; pfn < pages.value(); pfn += 2) {
    const auto change =
        filler->p2m().SetRange({"set p2m"}, {Pfn(pfn), PageCount(1)},
                               P2mClass::kMissing, Mfn(), RamPolicy::kRelease);
    if (!absl::IsFailedPrecondition(change.status())) {
      MustBeOk(change.status());
    }
  }
}

std::unique_ptr<Host> NewAlternateHost() {
  auto host = NewHost(2 * kAlternateGib, Placement::kLowest);
  ReleaseEverySecondPage(*host, host->Info().free);
  return host;
}

std::unique_ptr<Host> NewScatterHost() {
  auto host = NewHost(2 * kScatterGib, Placement::kScatter);
  MustCreate(*host, MakeSpec("filler", PageCount(kScatterGib * kPagesPerGiB)));
  return host;
}

}  // namespace

std::string NameOf(Pool pool) {
  switch (pool) {
    case Pool::kWhole:
      return "contiguous";
    case Pool::kAlternate:
      return "alternate";
    case Pool::kScatter:
      return "scatter";
  }
  std::abort();
}

std::unique_ptr<Host> NewHost(uint64_t gib, Placement placement) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(gib * kPagesPerGiB));
  config.placement = placement;
  config.dom0_memory = kDom0Memory;
  return MustHave(Host::Create(config));
}

std::unique_ptr<Host> NewHost(Pool pool) {
  switch (pool) {
    case Pool::kWhole:
      return NewHost(kWholeGib, Placement::kLowest);
    case Pool::kAlternate:
      return NewAlternateHost();
    case Pool::kScatter:
      return NewScatterHost();
  }
  std::abort();
}

std::unique_ptr<DenseMachine> NewDense(Pool pool, uint64_t gib) {
  using enum DenseMachine::Placement;
  const uint64_t frames = gib * kPagesPerGiB;
  if (pool == Pool::kWhole) {
    return std::make_unique<DenseMachine>(frames, kLowest);
  }
  const bool scatter = pool == Pool::kScatter;
  auto machine =
      std::make_unique<DenseMachine>(2 * frames, scatter ? kScatter : kLowest);
  if (scatter) {
    machine->Keep(frames);
  } else {
    machine->KeepEverySecond();
  }
  return machine;
}

Host& SharedHost(Pool pool) {
  static auto& hosts = *new std::array<std::unique_ptr<Host>, 3>;
  auto& host = hosts[static_cast<size_t>(pool)];
  if (!host) host = NewHost(pool);
  return *host;
}

DenseMachine& SharedDense(Pool pool) {
  static constexpr std::array kGib = {kDenseWholeGib, kAlternateGib,
                                      kScatterGib};
  static auto& machines = *new std::array<std::unique_ptr<DenseMachine>, 3>;
  auto& machine = machines[static_cast<size_t>(pool)];
  if (!machine) machine = NewDense(pool, kGib[static_cast<size_t>(pool)]);
  return *machine;
}

DomainSpec MakeSpec(absl::string_view name, PageCount memory) {
  DomainSpec spec;
  spec.name = std::string(name);
  spec.memory = memory;
  return spec;
}

std::shared_ptr<Domain> MustCreate(Host& host, const DomainSpec& spec) {
  return MustHave(host.CreateDomain(spec, /*start_paused=*/false, NeverStop));
}

void MustDestroy(Host& host, const std::shared_ptr<Domain>& domain) {
  MustBeOk(host.DestroyDomain(domain).status());
}

}  // namespace simvisor::bench
