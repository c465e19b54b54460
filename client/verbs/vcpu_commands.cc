// vcpu-list, vcpu-pin.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/ui/exit_code.h"
#include "client/ui/json.h"
#include "client/ui/xl_output.h"
#include "client/verbs/commands.h"
#include "client/xl/cpu_set.h"

namespace simvisor::client {
namespace {

struct PinArgs {
  std::string domain;
  std::string vcpu;
  std::string hard;
  std::string soft = "-";
  bool force = false;
  bool dry_run = false;
};

absl::StatusOr<uint32_t> HostCpus(const Client& client) {
  SIMVISOR_ASSIGN_OR_RETURN(const v1::GetHostResponse response,
                            client.Call(v1::GetHostRequest()));
  return response.host().cpu_masks().cpus();
}

// All virtual CPUs of a domain.
absl::StatusOr<v1::ListVcpusResponse> GetVcpus(const Client& client,
                                               uint32_t domid) {
  v1::ListVcpusRequest request;
  request.mutable_domain()->set_domid(domid);
  return client.ListAllVcpus(std::move(request));
}

Json VcpusToJson(const v1::Domain& domain, const v1::ListVcpusResponse& vcpus,
                 uint32_t host_cpus) {
  Json list = Json::array();
  for (const v1::Vcpu& vcpu : vcpus.vcpus()) {
    list.push_back({{"vcpu", vcpu.vcpu()},
                    {"hard", FormatCpuSet(vcpu.hard(), host_cpus)},
                    {"soft", FormatCpuSet(vcpu.soft(), host_cpus)},
                    {"mask_bytes", vcpu.mask_bytes()}});
  }
  return {{"domid", domain.domid()},
          {"name", domain.name()},
          {"vcpus", std::move(list)}};
}

// Whether a domain that was listed a moment ago is gone.
bool IsGone(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason == "DOMAIN_NOT_FOUND" || reason == "DOMAIN_DYING";
}

// The domains that `names` name, in that order; all of them if it is empty.
absl::StatusOr<v1::ListDomainsResponse> GetDomains(
    Session& session, const Client& client,
    const std::vector<std::string>& names) {
  if (names.empty()) return client.ListAllDomains();
  v1::ListDomainsResponse listed;
  for (const std::string& name : names) {
    SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(name));
    SIMVISOR_ASSIGN_OR_RETURN(
        v1::GetDomainResponse response,
        client.Call(target.MakeRequest<v1::GetDomainRequest>()));
    *listed.add_domains() = std::move(*response.mutable_domain());
  }
  return listed;
}

absl::Status VcpuList(Session& session, const std::vector<std::string>& names) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  SIMVISOR_ASSIGN_OR_RETURN(const v1::ListDomainsResponse domains,
                            GetDomains(session, *client, names));
  SIMVISOR_ASSIGN_OR_RETURN(const uint32_t host_cpus, HostCpus(*client));
  Json all = {{"domains", Json::array()}};
  if (!session.json()) session.out() << VcpuListHeader();
  for (const v1::Domain& domain : domains.domains()) {
    auto vcpus = GetVcpus(*client, domain.domid());
    if (names.empty() && IsGone(vcpus.status())) continue;
    if (!vcpus.ok()) return vcpus.status();
    if (session.json()) {
      all["domains"].push_back(VcpusToJson(domain, *vcpus, host_cpus));
      continue;
    }
    for (const v1::Vcpu& vcpu : vcpus->vcpus()) {
      session.out() << VcpuListRow(domain, vcpu, host_cpus);
    }
  }
  if (session.json()) session.PrintJson(all);
  return absl::OkStatus();
}

// The virtual CPU that `text` names; nullopt for all of them.
absl::StatusOr<std::optional<uint32_t>> ParseVcpu(const PinArgs& args) {
  if (args.vcpu == "all") {
    if (!args.force) return std::nullopt;
    return UsageError("--force and 'all' as VCPU not allowed");
  }
  uint32_t vcpu = 0;
  const bool digits =
      args.vcpu.find_first_not_of("0123456789") == std::string::npos;
  if (digits && absl::SimpleAtoi(args.vcpu, &vcpu)) return vcpu;
  return UsageError(absl::StrCat("Invalid argument ", args.vcpu,
                                 " as VCPU; VCPU is a number, or all"));
}

absl::StatusOr<v1::CpuSet> ParseCpus(const std::string& text) {
  auto set = ParseCpuSet(text);
  if (!set.ok()) return AsUsageError(set.status());
  return set;
}

// The request without the domain.
absl::StatusOr<v1::SetVcpuAffinityRequest> MakePinRequest(
    const PinArgs& args, std::optional<uint32_t> vcpu) {
  if (args.hard == "-" && args.soft == "-") {
    return UsageError(
        "HARD and SOFT are both -, which changes nothing; give the one that is "
        "to change");
  }
  v1::SetVcpuAffinityRequest request;
  if (vcpu) request.add_vcpus(*vcpu);
  if (args.hard != "-") {
    SIMVISOR_ASSIGN_OR_RETURN(*request.mutable_hard(), ParseCpus(args.hard));
  }
  if (args.soft != "-") {
    SIMVISOR_ASSIGN_OR_RETURN(*request.mutable_soft(), ParseCpus(args.soft));
  }
  return request;
}

// Refuses a set that the daemon would refuse; `set` may be empty.
absl::Status CheckCpus(const v1::CpuSet& set, uint32_t host_cpus) {
  for (const v1::CpuRange& range : set.ranges()) {
    const uint64_t last =
        uint64_t{range.first_cpu()} + std::max(range.count(), 1u) - 1;
    if (last < host_cpus) continue;
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kCpuInvalid,
        absl::StrCat("CPU ", last, ": the host has CPUs 0 to ", host_cpus - 1),
        {{fact::kValue, last}, {fact::kLimit, host_cpus - 1}});
  }
  return absl::OkStatus();
}

// What xl -N vcpu-pin prints.
absl::Status PrintCpumap(Session& session,
                         const v1::SetVcpuAffinityRequest& request) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  SIMVISOR_ASSIGN_OR_RETURN(const uint32_t host_cpus, HostCpus(*client));
  for (const v1::CpuSet* set : {&request.hard(), &request.soft()}) {
    SIMVISOR_RETURN_IF_ERROR(CheckCpus(*set, host_cpus));
  }
  if (session.json()) return session.PrintJson(request);
  session.out() << "cpumap: "
                << (request.has_hard() ? FormatCpuSet(request.hard(), host_cpus)
                                       : "-");
  if (request.has_soft()) {
    session.out() << " " << FormatCpuSet(request.soft(), host_cpus);
  }
  session.out() << "\n";
  return absl::OkStatus();
}

absl::Status VcpuPin(Session& session, const PinArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const auto vcpu, ParseVcpu(args));
  SIMVISOR_ASSIGN_OR_RETURN(auto request, MakePinRequest(args, vcpu));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  if (args.dry_run) return PrintCpumap(session, request);
  const auto response = target.client.Call(request);
  if (!response.ok()) {
    return InVerbsWords(
        absl::StrCat("Could not set affinity",
                     vcpu ? absl::StrCat(" for vcpu `", *vcpu, "'") : ""),
        target.ref, response.status());
  }
  return session.Show(response);
}

void AddPin(Commands& commands) {
  auto args = std::make_shared<PinArgs>();
  Verb verb = commands.Add(
      "vcpu-pin", "Set the CPUs that virtual CPUs may run on",
      [args](Session& session) { return VcpuPin(session, *args); });
  verb.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  verb.AddPositional("VCPU", args->vcpu, "Number, or all").Required();
  verb.AddPositional("HARD", args->hard,
                     "CPUs they may run on, as all, 0-3,5,^1 or nodes:0;\n"
                     "- leaves them as they are")
      .Required();
  verb.AddPositional("SOFT", args->soft,
                     "CPUs they prefer (soft affinity) [-]");
  verb.AddFlag("-f,--force", args->force,
               "As in xl; makes no difference, since no guest pins itself");
  verb.AddIgnored("-i,--ignore-global-affinity-masks", kNoEffectHelp);
  verb.AddFlag("-N,--dryrun", args->dry_run,
               "Print the sets instead of sending them");
  verb.SetFooter(
      "The sets are remembered and shown by vcpu-list; nothing is scheduled.");
}

}  // namespace

void AddVcpuCommands(Commands& commands) {
  auto names = std::make_shared<std::vector<std::string>>();
  Verb list = commands.Add(
      "vcpu-list", "List virtual CPUs and the CPUs they are pinned to",
      [names](Session& session) { return VcpuList(session, *names); });
  list.AddPositional(kDomainName, *names, "Domains to list; all by default");
  list.AddIgnored("-a,--all", "List those of all domains, the default");
  list.SetFooter(
      "Nothing is scheduled, so no virtual CPU is on a CPU (-) or has run\n"
      "(0.0 s).  State is -b- in a running domain, whose virtual CPUs are\n"
      "idle, and --- in one that is paused or has not booted.");
  AddPin(commands);
}

}  // namespace simvisor::client
