// The simulated machine inside your own program, without a daemon: a guest
// gives back a GiB.  Link simvisor::domain.

#include "domain/host/host.h"

int main() {
  simvisor::HostConfig config;
  config.e820 = *simvisor::DefaultHostE820(
      simvisor::PageCount(8 * simvisor::kPagesPerGiB));
  config.dom0_memory = simvisor::PageCount(simvisor::kPagesPerGiB);
  const auto host = simvisor::Host::Create(config);
  if (!host.ok()) return 1;
  simvisor::DomainSpec spec;
  spec.name = "web";
  spec.memory = simvisor::PageCount(2 * simvisor::kPagesPerGiB);
  const auto web = (*host)->CreateDomain(spec, false, simvisor::NeverStop);
  if (!web.ok()) return 1;
  const auto given = (*web)->balloon().Down(
      {"balloon down", simvisor::NeverStop},
      simvisor::PageCount(simvisor::kPagesPerGiB), false);
  return given.ok() && (*host)->Audit().findings.empty() ? 0 : 1;
}
