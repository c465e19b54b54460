#include "client/ui/xl_output.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/xl/cpu_set.h"

namespace simvisor::client {
namespace {

constexpr uint64_t kPagesPerMib = 256;

// Running, blocked, paused, shut down, reason of the shutdown, dying.
std::string StateFlags(const v1::Domain& domain) {
  const v1::DomainState state = domain.state();
  std::string flags = "------";
  if (state == v1::DOMAIN_STATE_RUNNING) flags[0] = 'r';
  if (state == v1::DOMAIN_STATE_BUILT || state == v1::DOMAIN_STATE_PAUSED) {
    flags[2] = 'p';
  }
  // For Xen, a suspended guest is shut down with the reason suspend.
  if (domain.suspended()) flags[3] = flags[4] = 's';
  if (state == v1::DOMAIN_STATE_DYING) flags[5] = 'd';
  return flags;
}

std::string ArchName(v1::Arch arch) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::Arch_Name(arch), "ARCH_"));
}

std::string PlacementName(v1::FramePlacement placement) {
  const std::string& name = v1::FramePlacement_Name(placement);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "FRAME_PLACEMENT_"));
}

std::string Mib(uint64_t pages) { return absl::StrCat(pages / kPagesPerMib); }

}  // namespace

std::string ListHeader(ListColumns columns) {
  return absl::StrCat(
      "Name", std::string(40, ' '), "ID   Mem VCPUs\tState\tTime(s)",
      columns == ListColumns::kVerbose ? absl::StrFormat(" %-36s ABI", "UUID")
                                       : "",
      "\n");
}

std::string ListRow(const v1::Domain& domain, ListColumns columns) {
  const std::string more =
      columns == ListColumns::kVerbose
          ? absl::StrCat(" ", domain.uuid(), " ", ArchName(domain.arch()))
          : "";
  return absl::StrFormat("%-40s %5d %5d %5d     %s  %8.1f%s\n",
                         domain.name().empty() ? "(null)" : domain.name(),
                         domain.domid(),
                         domain.memory().current_pages() / kPagesPerMib,
                         domain.vcpus(), StateFlags(domain), 0.0, more);
}

std::string IncomingRow(const v1::IncomingDomain& domain, ListColumns columns) {
  const std::string more = columns == ListColumns::kVerbose
                               ? absl::StrCat(" ", domain.uuid(), " -")
                               : "";
  return absl::StrFormat("%-40s %5d %5d %5d     %s  %8.1f%s\n",
                         absl::StrCat(domain.name(), "--incoming"),
                         domain.domid(), domain.claimed_pages() / kPagesPerMib,
                         0, "--p---", 0.0, more);
}

std::string VcpuListHeader() {
  return absl::StrFormat("%-32s %5s %5s %5s %5s %9s %s\n", "Name", "ID", "VCPU",
                         "CPU", "State", "Time(s)", "Affinity (Hard / Soft)");
}

std::string VcpuListRow(const v1::Domain& domain, const v1::Vcpu& vcpu,
                        uint32_t host_cpus) {
  const bool idle = domain.state() == v1::DOMAIN_STATE_RUNNING;
  // xl leaves no space between the columns VCPU and CPU.
  return absl::StrFormat("%-32s %5d %5d%5s %5s %9.1f  %s / %s\n", domain.name(),
                         domain.domid(), vcpu.vcpu(), "-", idle ? "-b-" : "---",
                         0.0, FormatCpuSet(vcpu.hard(), host_cpus),
                         FormatCpuSet(vcpu.soft(), host_cpus));
}

std::vector<std::pair<std::string, std::string>> InfoValues(
    const v1::Host& host) {
  const uint32_t cpus = host.cpu_masks().cpus();
  return {
      {"host", "simvisor"},
      {"release", host.version()},
      {"machine", "x86_64"},
      {"nr_cpus", absl::StrCat(cpus)},
      {"max_cpu_id", absl::StrCat(std::max(cpus, 1u) - 1)},
      {"nr_nodes", "1"},
      {"total_memory", Mib(host.total_pages())},
      {"free_memory", Mib(host.free_pages())},
      {"sharing_freed_memory", "0"},
      {"sharing_used_memory", "0"},
      {"outstanding_claims", Mib(host.claimed_pages())},
      {"free_cpus", "0"},  // CPUs in no pool; the only pool has them all
      // The guest ABIs, as xl names them.
      {"xen_caps", "xen-3.0-x86_64 xen-3.0-x86_32p"},
      {"xen_pagesize", "4096"},
      {"total_pages", absl::StrCat(host.total_pages())},
      {"free_pages", absl::StrCat(host.free_pages())},
      {"owned_pages", absl::StrCat(host.owned_pages())},
      {"reserved_pages", absl::StrCat(host.reserved_pages())},
      {"max_mfn", absl::StrFormat("0x%x", host.max_mfn())},
      {"frame_placement", PlacementName(host.placement())},
      {"seed", absl::StrCat(host.seed())},
      {"domains", absl::StrCat(host.domain_count())},
  };
}

std::string InfoLine(absl::string_view name, absl::string_view value) {
  return absl::StrFormat("%-23s: %s\n", name, value);
}

}  // namespace simvisor::client
