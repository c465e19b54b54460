// fault enable, disable, add, list, clear.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/text_check.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"
#include "client/ui/similar_word.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

constexpr FieldName kAddFields[] = {
    {"rule.point", "POINT"},
    {"rule.domain", "--domain"},
    {"rule.error.code", "--error"},
    {"rule.delay_ms", "--delay-ms"},
    {"rule.probability", "--probability"},
};
constexpr FieldName kClearFields[] = {{"ids", "ID"}};

struct AddFaultArgs {
  std::string point;
  std::string domain;
  std::string code;
  uint32_t delay_ms = 0;  // 0: no delay
  bool crash = false;
  // As written; the parser would take -1 for a large number.
  std::string skip = "0";
  std::string count = "0";
  double probability = 1;
};

struct ClearArgs {
  std::vector<std::string> ids;
  bool all = false;
};

absl::StatusOr<v1::FaultRule> MakeRule(const AddFaultArgs& args) {
  SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("POINT", args.point)));
  SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("--domain", args.domain)));
  SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("--error", args.code)));
  v1::FaultRule rule;
  rule.set_point(args.point);
  rule.set_domain(args.domain);
  if (args.crash) {
    rule.mutable_crash();
  } else if (args.delay_ms > 0) {
    rule.set_delay_ms(args.delay_ms);
  } else {
    rule.mutable_error()->set_code(args.code);
  }
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t skip,
                            ParseNumber("--skip", args.skip));
  rule.set_skip(skip);
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t count,
                            ParseNumber("--count", args.count));
  rule.set_count(count);
  rule.set_probability(args.probability);
  return rule;
}

std::vector<std::string> PointNames(const Client& client) {
  std::vector<std::string> names;
  const auto list = client.Call(v1::ListFaultsRequest());
  if (!list.ok()) return names;
  for (const v1::FaultPoint& point : list->points()) {
    names.push_back(point.name());
  }
  return names;
}

std::vector<std::string> ErrorCodes() {
  std::vector<std::string> names;
  for (auto code = absl::StatusCode::kCancelled;
       code <= absl::StatusCode::kUnauthenticated;
       code = static_cast<absl::StatusCode>(static_cast<int>(code) + 1)) {
    names.push_back(absl::StatusCodeToString(code));
  }
  return names;
}

// `error` of the daemon, with the word that was meant if it says that a word of
// `args` is unknown.
absl::Status SayWhatWasMeant(const Client& client, const AddFaultArgs& args,
                             const absl::Status& error) {
  if (ReasonOf(error) != "ARGUMENT_MALFORMED") return error;
  const std::string field = MetadataOf(error)[std::string(fact::kField)];
  if (field == "rule.point") {
    const std::string meant = FindSimilar(args.point, PointNames(client));
    return WithMessage(
        error,
        absl::StrCat(field, ": ", Quoted(args.point), " is not a fault point; ",
                     meant.empty() ? "" : "did you mean ", meant,
                     meant.empty() ? "" : "?  ",
                     "fault list --points explains every point"));
  }
  if (field == "rule.error.code") {
    const std::string meant =
        FindSimilar(absl::AsciiStrToUpper(args.code), ErrorCodes());
    if (meant.empty()) return error;
    return WithMessage(
        error, absl::StrCat(field, ": ", Quoted(args.code),
                            " is not a canonical error code; did you mean ",
                            meant, "?"));
  }
  return error;
}

absl::Status AddFaultRule(Session& session, const AddFaultArgs& args) {
  session.NameFields(kAddFields);
  SIMVISOR_ASSIGN_OR_RETURN(auto rule, MakeRule(args));
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  v1::AddFaultRequest request;
  *request.mutable_rule() = std::move(rule);
  const auto response = client->Call(request);
  if (!response.ok()) return SayWhatWasMeant(*client, args, response.status());
  return session.Show(response, [&](const v1::AddFaultResponse& added) {
    session.out() << "rule " << added.id() << " is set at " << args.point
                  << "\n";
  });
}

// "error UNAVAILABLE", "delay 200 ms", "crash".
std::string DescribeAction(const v1::FaultRule& rule) {
  if (rule.has_crash()) return "crash";
  if (rule.has_delay_ms())
    return absl::StrCat("delay ", rule.delay_ms(), " ms");
  return absl::StrCat("error", rule.error().code().empty() ? "" : " ",
                      rule.error().code());
}

std::string FaultLine(const v1::Fault& fault) {
  const v1::FaultRule& rule = fault.rule();
  return absl::StrFormat(
      "%4d  %-21s  %-15s  %-25s  %6d  %6s  %6s  %8d  %8d\n", fault.id(),
      rule.point(), rule.domain().empty() ? "any" : rule.domain(),
      DescribeAction(rule), rule.skip(),
      rule.count() == 0 ? "-" : absl::StrCat(rule.count()),
      absl::StrCat(rule.probability()), fault.hits(), fault.acted());
}

void PrintFaults(Session& session, const v1::ListFaultsResponse& list) {
  if (list.faults().empty()) {
    session.out() << "no rules are set\n";
    return;
  }
  session.out() << absl::StrFormat(
      "%4s  %-21s  %-15s  %-25s  %6s  %6s  %6s  %8s  %8s\n", "ID", "POINT",
      "DOMAIN", "ACTION", "SKIP", "COUNT", "CHANCE", "HITS", "ACTED");
  for (const v1::Fault& fault : list.faults()) {
    session.out() << FaultLine(fault);
  }
}

absl::Status ListFaultRules(Session& session, bool points) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  return session.Show(client->Call(v1::ListFaultsRequest()),
                      [&](const v1::ListFaultsResponse& list) {
                        if (!points) return PrintFaults(session, list);
                        for (const v1::FaultPoint& point : list.points()) {
                          session.out() << absl::StrFormat(
                              "%-21s  %s\n", point.name(), point.description());
                        }
                      });
}

absl::Status ClearFaultRules(Session& session, const ClearArgs& args) {
  if (args.ids.empty() != args.all) {
    return UsageError(
        "name the rules to remove by their ids, as fault list shows them, or "
        "give --all");
  }
  if (args.ids == std::vector<std::string>{"all"}) {
    return UsageError("'all' is not the number of a rule; did you mean --all?");
  }
  session.NameFields(kClearFields);
  v1::RemoveFaultsRequest request;
  for (const std::string& text : args.ids) {
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t id, ParseNumber("rule", text));
    request.add_ids(id);
  }
  request.set_all(args.all);
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  return session.Show(
      client->Call(request), [&](const v1::RemoveFaultsResponse& response) {
        session.out() << response.removed()
                      << (response.removed() == 1 ? " rule" : " rules")
                      << " removed\n";
      });
}

absl::Status SetFaultInjection(Session& session, bool enabled) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  v1::SetFaultInjectionRequest request;
  request.set_enabled(enabled);
  return session.Show(
      client->Call(request), [&](const v1::SetFaultInjectionResponse& done) {
        session.out() << "fault rules are "
                      << (done.changed() ? "" : "already ")
                      << (enabled ? "accepted" : "refused");
        if (done.removed() > 0) {
          session.out() << "; " << done.removed()
                        << (done.removed() == 1 ? " rule" : " rules")
                        << " removed";
        }
        session.out() << "\n";
      });
}

void AddFaultSwitches(Commands& commands, Verb group) {
  constexpr char kWho[] =
      "Only the daemon's user and root may do this, on its unix socket: a "
      "rule\n"
      "can make calls of other clients fail, and kill the daemon.";
  commands
      .Add(group, "enable", "Let the daemon accept rules, from any client",
           [](Session& session) { return SetFaultInjection(session, true); })
      .SetFooter(kWho);
  commands
      .Add(group, "disable", "Remove all rules, and let it accept none",
           [](Session& session) { return SetFaultInjection(session, false); })
      .SetFooter(kWho);
}

void AddFaultAdd(Commands& commands, Verb group) {
  auto args = std::make_shared<AddFaultArgs>();
  Verb add = commands.Add(
      group, "add", "Set a rule at a point: fail, wait or die there",
      [args](Session& session) { return AddFaultRule(session, *args); });
  add.AddPositional("POINT", args->point,
                    "Point, such as save.piece; fault list --points lists all")
      .Required();
  add.AddOption("--domain", args->domain, "Only for the domain with this name")
      .ValueName("NAME");
  const Argument code = add.AddOption("--error", args->code,
                                      "Fail with this canonical code, such as "
                                      "UNAVAILABLE; without an action,\n"
                                      "fail with INTERNAL")
                            .ValueName("CODE");
  const Argument delay =
      add.AddOption("--delay-ms", args->delay_ms, "Wait, then go on")
          .Between(1, 60000)
          .Excludes(code);
  add.AddFlag("--crash", args->crash, "Kill the daemon, by SIGKILL")
      .Excludes(code)
      .Excludes(delay);
  add.AddOption("--skip", args->skip, "Hits to let pass first [0]")
      .ValueName("N");
  add.AddOption("--count", args->count, "How often it acts; 0 for no limit [0]")
      .ValueName("N");
  add.AddOption("--probability", args->probability,
                "Chance that a hit acts, above 0 and at most 1 [1]")
      .ValueName("P");
  add.SetFooter(
      "Chances follow from the daemon's --seed and the rule's number: the "
      "same\n"
      "calls get the same faults.");
}

void AddFaultClear(Commands& commands, Verb group) {
  auto args = std::make_shared<ClearArgs>();
  Verb clear = commands.Add(
      group, "clear", "Remove rules",
      [args](Session& session) { return ClearFaultRules(session, *args); });
  clear.AddPositional("ID", args->ids, "Numbers of rules, as list shows them");
  clear.AddFlag("-a,--all", args->all, "Remove every rule");
}

}  // namespace

void AddFaultCommands(Commands& commands) {
  Verb group = commands.AddGroup(
      "fault", "Inject faults into calls; fault enable comes first");
  AddFaultSwitches(commands, group);
  AddFaultAdd(commands, group);
  auto points = std::make_shared<bool>(false);
  commands
      .Add(group, "list",
           "List the rules, and how often each was hit and acted",
           [points](Session& session) {
             return ListFaultRules(session, *points);
           })
      .AddFlag("--points", *points, "Explain every point instead");
  AddFaultClear(commands, group);
}

}  // namespace simvisor::client
