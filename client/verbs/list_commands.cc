// list, info, domid, domname.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/ui/exit_code.h"
#include "client/ui/json.h"
#include "client/ui/xl_json.h"
#include "client/ui/xl_output.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

struct ListArgs {
  std::vector<std::string> domains;
  bool long_form = false;
  bool verbose = false;
};

absl::StatusOr<v1::Domain> GetDomain(Session& session,
                                     const std::string& name) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(name));
  SIMVISOR_ASSIGN_OR_RETURN(
      const v1::GetDomainResponse response,
      target.client.Call(target.MakeRequest<v1::GetDomainRequest>()));
  return response.domain();
}

// The daemon's hint is the command that has just failed.
absl::Status HintAtAll(const absl::Status& error) {
  if (ReasonOf(error) != "DOMAIN_NOT_FOUND") return error;
  return WithMessage(
      error, absl::StrCat(absl::StripSuffix(error.message(),
                                            "; list shows those that do"),
                          "; list without a name shows all domains"));
}

absl::StatusOr<v1::ListDomainsResponse> GetListed(Session& session,
                                                  const ListArgs& args) {
  if (args.domains.empty()) {
    SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
    return client->ListAllDomains();
  }
  v1::ListDomainsResponse response;
  for (const std::string& name : args.domains) {
    auto domain = GetDomain(session, name);
    if (!domain.ok()) return HintAtAll(domain.status());
    *response.add_domains() = *std::move(domain);
  }
  return response;
}

// A note about a domain in handover between two daemons; empty for others.
std::string HandoverNote(const v1::Domain& domain) {
  switch (domain.handover()) {
    case v1::HANDOVER_OUTGOING:
      return absl::StrCat(
          "Domain ", domain.domid(), " (", domain.name(),
          ") is being handed over: suspended here until its target says "
          "whether it runs it; see migrations.");
    case v1::HANDOVER_INCOMING:
      return absl::StrCat(
          "Domain ", domain.domid(), " (", domain.name(),
          ") has arrived: suspended here until its source has decided; see "
          "migrations.");
    default:
      return "";
  }
}

// What xl list -l prints.
absl::Status ListLong(Session& session, const ListArgs& args) {
  session.KeepStrings();
  SIMVISOR_ASSIGN_OR_RETURN(const auto listed, GetListed(session, args));
  Json all = Json::array();
  for (const v1::Domain& domain : listed.domains()) {
    all.push_back({{"domid", domain.domid()}, {"config", XlConfigOf(domain)}});
  }
  session.PrintJson(all);
  return absl::OkStatus();
}

absl::Status ListDomains(Session& session, const ListArgs& args) {
  if (args.long_form) return ListLong(session, args);
  const auto response = GetListed(session, args);
  return session.Show(response, [&](const v1::ListDomainsResponse& list) {
    const ListColumns columns =
        args.verbose ? ListColumns::kVerbose : ListColumns::kXl;
    session.out() << ListHeader(columns);
    for (const v1::Domain& domain : list.domains()) {
      session.out() << ListRow(domain, columns);
    }
    for (const v1::IncomingDomain& domain : list.incoming()) {
      session.out() << IncomingRow(domain, columns);
    }
    for (const v1::Domain& domain : list.domains()) {
      if (const std::string note = HandoverNote(domain); !note.empty()) {
        session.PrintAside(note);
      }
    }
  });
}

Json ValueToJson(const std::string& value) {
  uint64_t number = 0;
  return absl::SimpleAtoi(value, &number) ? Json(number) : Json(value);
}

absl::Status PrintInfoValue(Session& session, const v1::Host& host,
                            const std::string& name) {
  const auto values = InfoValues(host);
  const auto found =
      std::find_if(values.begin(), values.end(),
                   [&](const auto& value) { return value.first == name; });
  if (found != values.end()) {
    if (session.json()) {
      session.PrintJson({{name, ValueToJson(found->second)}});
    } else {
      session.out() << found->second << "\n";
    }
    return absl::OkStatus();
  }
  return UsageError(absl::StrCat(
      "no value is named '", name, "'; names: ",
      absl::StrJoin(values, ", ", [](std::string* out, const auto& value) {
        absl::StrAppend(out, value.first);
      })));
}

absl::Status Info(Session& session, const std::string& name) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  auto response = client->Call(v1::GetHostRequest());
  if (response.ok() && !name.empty()) {
    return PrintInfoValue(session, response->host(), name);
  }
  return session.Show(response, [&](const v1::GetHostResponse& host) {
    for (const auto& [key, value] : InfoValues(host.host())) {
      session.out() << InfoLine(key, value);
    }
  });
}

// Prints one field of a domain.  xl's words for one that does not exist are
// `complaint` and the name.
absl::Status PrintOfDomain(Session& session, const std::string& name,
                           absl::string_view complaint,
                           std::string (*field)(const v1::Domain&)) {
  const auto domain = GetDomain(session, name);
  if (ReasonOf(domain.status()) == "DOMAIN_NOT_FOUND") {
    return InXlsWords(absl::StrCat(complaint, " '", name, "'"),
                      domain.status());
  }
  return session.Show(domain, [&](const v1::Domain& found) {
    session.out() << field(found) << "\n";
  });
}

void AddNameCommands(Commands& commands) {
  auto name = std::make_shared<std::string>();
  commands
      .Add("domid", "Print the domid of a domain",
           [name](Session& session) {
             return PrintOfDomain(
                 session, *name, "Can't get domid of domain name",
                 [](const v1::Domain& d) { return absl::StrCat(d.domid()); });
           })
      .AddPositional(kDomainName, *name, kDomainHelp)
      .Required();
  commands
      .Add("domname", "Print the name of a domain",
           [name](Session& session) {
             return PrintOfDomain(session, *name,
                                  "Can't get domain name of domain id",
                                  [](const v1::Domain& d) { return d.name(); });
           })
      .AddPositional(kDomainName, *name, kDomainHelp)
      .Required();
}

}  // namespace

void AddListCommands(Commands& commands) {
  auto list_args = std::make_shared<ListArgs>();
  Verb list = commands.Add("list", "List domains with their memory and state",
                           [list_args](Session& session) {
                             return ListDomains(session, *list_args);
                           });
  list.AddPositional(kDomainName, list_args->domains,
                     "Domains to list; all by default");
  list.AddFlag("-v,--verbose", list_args->verbose,
               "Show UUID and guest ABI as well");
  list.AddIgnored("-a,--all", "List all domains, the default");
  list.AddFlag("-l,--long", list_args->long_form,
               "Print configurations as xl does, in JSON; -o json prints all "
               "fields");
  list.AddIgnored("-c,--cpupool,-n,--numa,-Z,--context", kNoEffectHelp);
  list.SetFooter(
      "With -l, sizes are in KiB, and a field that has libxl's default is "
      "left\n"
      "out:\n"
      "[{\"domid\": 1, \"config\": {\"c_info\": {\"type\", \"name\", "
      "\"uuid\"},\n"
      "  \"b_info\": {\"max_vcpus\", \"avail_vcpus\", \"max_memkb\", "
      "\"target_memkb\",\n"
      "  \"type.pv\"}, \"pcidevs\"}}]");

  auto name = std::make_shared<std::string>();
  Verb info =
      commands.Add("info", "Describe the machine",
                   [name](Session& session) { return Info(session, *name); });
  info.AddPositional("NAME", *name, "Print this value only");
  info.AddIgnored("-n,--numa", kNoEffectHelp);
  AddNameCommands(commands);
}

}  // namespace simvisor::client
