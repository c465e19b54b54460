// mmu list, stat, mappings, young, fence.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/mmu/mmu_commands.h"
#include "client/mmu/mmu_text.h"
#include "client/ui/exit_code.h"
#include "client/ui/json.h"
#include "client/ui/quantities.h"

namespace simvisor::client {
namespace {

constexpr FieldName kNumberFields[] = {{"subscription", "ID"}};
constexpr FieldName kYoungFields[] = {{"pfns", "LO-HI"}, {"wait_ms", "--wait"}};

struct DomainArgs {
  std::string domain;  // may be empty: all
  std::string number;  // may be empty: all
};
struct NumberArgs {
  std::string number;
};
struct YoungArgs {
  std::string domain;
  std::string range;
  bool clear = false;
  std::string wait = "1s";
};

absl::StatusOr<v1::ListSecondaryMmusResponse> FindMmus(
    Session& session, const std::string& domain) {
  v1::ListSecondaryMmusRequest request;
  if (domain.empty()) {
    SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
    return client->ListAllSecondaryMmus(std::move(request));
  }
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  *request.mutable_domain() = target.ref;
  return target.client.ListAllSecondaryMmus(std::move(request));
}

constexpr char kListFormat[] = "%4s  %5s  %-16s  %-8s  %10s  %5s  %9s  %9s\n";

std::string ListLine(const v1::SecondaryMmu& mmu) {
  const bool owes = mmu.unanswered_events() > 0;
  return absl::StrFormat(
      kListFormat, absl::StrCat(mmu.subscription()), absl::StrCat(mmu.domid()),
      mmu.name(), StateText(mmu.state()), absl::StrCat(mmu.mapped_pages()),
      absl::StrCat(mmu.unanswered_events()),
      owes ? absl::StrCat(mmu.oldest_unanswered_ms(), " ms") : "-",
      absl::StrCat(mmu.lease_left_ms(), " ms"));
}

absl::Status List(Session& session, const DomainArgs& args) {
  return session.Show(FindMmus(session, args.domain),
                      [&](const v1::ListSecondaryMmusResponse& list) {
                        if (list.mmus().empty()) {
                          session.out() << "no secondary MMUs\n";
                          return;
                        }
                        session.out() << absl::StrFormat(
                            kListFormat, "ID", "DOMID", "NAME", "STATE",
                            "MAPPED", "OWES", "SINCE", "LEASE");
                        for (const v1::SecondaryMmu& mmu : list.mmus()) {
                          session.out() << ListLine(mmu);
                        }
                      });
}

std::string WatchedText(const v1::SecondaryMmu& mmu) {
  if (mmu.intervals().empty()) return "the whole domain";
  std::vector<std::string> texts;
  for (const v1::PfnExtent& pfns : mmu.intervals()) {
    texts.push_back(RangeText(pfns.first_pfn(), pfns.count()));
  }
  return absl::StrJoin(texts, " ");
}

void PrintMmu(Session& session, const v1::SecondaryMmu& mmu) {
  session.out() << absl::StrFormat(
      "subscription %d, %s: %s, rule %s, hears of %s changes in %s\n"
      "  mapped           %d pages, %d writable, in %d runs\n"
      "  faults           %d: %d installs, %d retries, %d throttled, %d "
      "parked\n"
      "  ranges           %d begun: %d ended, %d aborted; %d pages let go\n"
      "  answers          %d owing, the oldest for %d ms; the slowest took %d "
      "us\n"
      "  lease            %d ms left\n"
      "  stale accesses   %d\n",
      mmu.subscription(), mmu.name(), StateText(mmu.state()),
      RuleText(mmu.rule()), FilterText(mmu.events()), WatchedText(mmu),
      mmu.mapped_pages(), mmu.writable_pages(), mmu.mapped_runs(), mmu.faults(),
      mmu.installs(), mmu.retries(), mmu.throttled(), mmu.parked(),
      mmu.begins(), mmu.ends(), mmu.aborts(), mmu.pages_invalidated(),
      mmu.unanswered_events(), mmu.oldest_unanswered_ms(), mmu.max_answer_us(),
      mmu.lease_left_ms(), mmu.stale_accesses());
}

void PrintTotals(Session& session, const std::string& domain,
                 const v1::SecondaryMmuTotals& totals) {
  session.out() << absl::StrFormat(
      "%s: %d secondary MMUs map %d pages; %d ranges open, %d closed, %d "
      "changes wait; epoch %d, %d fenced\n",
      domain, totals.subscriptions(), totals.mapped_pages(),
      totals.open_ranges(), totals.seq(), totals.waiting_changes(),
      totals.epoch(), totals.fences());
}

// Removes all but the subscription that the line names, if it names one.
absl::Status Select(const DomainArgs& args,
                    v1::ListSecondaryMmusResponse& list) {
  if (args.number.empty()) return absl::OkStatus();
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t number,
                            ParseNumber("ID", args.number));
  auto& mmus = *list.mutable_mmus();
  for (int i = mmus.size() - 1; i >= 0; --i) {
    if (mmus[i].subscription() != number) mmus.DeleteSubrange(i, 1);
  }
  if (!mmus.empty()) return absl::OkStatus();
  return WithReason(absl::NotFoundError(
                        absl::StrCat("subscription ", number, ": ", args.domain,
                                     " has none with this number; see mmu "
                                     "list")),
                    OwnReason::kClientFailed);
}

absl::Status Stat(Session& session, const DomainArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  SIMVISOR_ASSIGN_OR_RETURN(
      const v1::GetDomainResponse found,
      target.client.Call(target.MakeRequest<v1::GetDomainRequest>()));
  SIMVISOR_ASSIGN_OR_RETURN(auto list, FindMmus(session, args.domain));
  SIMVISOR_RETURN_IF_ERROR(Select(args, list));
  const v1::SecondaryMmuTotals& totals = found.domain().secondary_mmus();
  if (session.json()) {
    Json json;
    SIMVISOR_ASSIGN_OR_RETURN(json["totals"], client::ToJson(totals));
    SIMVISOR_ASSIGN_OR_RETURN(const Json mmus, client::ToJson(list));
    json["mmus"] = mmus["mmus"];
    session.PrintJson(json);
    return absl::OkStatus();
  }
  PrintTotals(session, args.domain, totals);
  for (const v1::SecondaryMmu& mmu : list.mmus()) PrintMmu(session, mmu);
  return absl::OkStatus();
}

absl::Status Mappings(Session& session, const NumberArgs& args) {
  session.NameFields(kNumberFields);
  v1::ListSecondaryMappingsRequest request;
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t number,
                            ParseNumber("ID", args.number));
  request.set_subscription(number);
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  v1::ListSecondaryMappingsResponse all;
  SIMVISOR_RETURN_IF_ERROR(client->ListSecondaryMappings(
      request, [&](const v1::ListSecondaryMappingsResponse& part) {
        all.MergeFrom(part);
        return absl::OkStatus();
      }));
  return session.Show(
      absl::StatusOr<v1::ListSecondaryMappingsResponse>(std::move(all)),
      [&](const v1::ListSecondaryMappingsResponse& list) {
        for (const v1::SecondaryMappingRun& run : list.runs()) {
          session.out() << absl::StrFormat(
              "%-21s  %-21s  %s\n", RangeText(run.first_pfn(), run.count()),
              absl::StrCat("mfn ", RangeText(run.first_mfn(), run.count())),
              run.writable() ? "writable" : "read-only");
        }
      });
}

absl::Status Young(Session& session, const YoungArgs& args) {
  session.NameFields(kYoungFields);
  SIMVISOR_ASSIGN_OR_RETURN(const v1::PfnExtent pfns,
                            ParsePfnRange(args.range));
  SIMVISOR_ASSIGN_OR_RETURN(const uint32_t wait,
                            ParseMilliseconds("--wait", args.wait));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  auto request = target.MakeRequest<v1::SampleAccessedRequest>();
  *request.mutable_pfns() = pfns;
  request.set_clear(args.clear);
  request.set_wait_ms(wait);
  return session.Show(
      target.client.Call(request),
      [&](const v1::SampleAccessedResponse& sample) {
        for (const v1::PfnExtent& young : sample.young()) {
          session.out() << RangeText(young.first_pfn(), young.count()) << "\n";
        }
        if (sample.truncated()) session.out() << "...\n";
        session.out() << sample.asked() << " secondary MMUs were asked, "
                      << sample.silent() << " did not answer in time\n";
      });
}

absl::Status Fence(Session& session, const NumberArgs& args) {
  session.NameFields(kNumberFields);
  v1::FenceSecondaryMmuRequest request;
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t number,
                            ParseNumber("ID", args.number));
  request.set_subscription(number);
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  return session.Show(client->Call(request));
}

void AddNumberVerb(Commands& commands, Verb mmu, const std::string& name,
                   const std::string& help,
                   absl::Status (*act)(Session&, const NumberArgs&)) {
  auto args = std::make_shared<NumberArgs>();
  commands
      .Add(mmu, name, help,
           [args, act](Session& session) { return act(session, *args); })
      .AddPositional("ID", args->number, "Number, as mmu list shows it")
      .Required();
}

void AddYoung(Commands& commands, Verb mmu) {
  auto args = std::make_shared<YoungArgs>();
  Verb young = commands.Add(
      mmu, "young", "Ask which pages were accessed through secondary mappings",
      [args](Session& session) { return Young(session, *args); });
  young.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  young
      .AddPositional("LO-HI", args->range,
                     "Pages, as PFN, LO-HI (both included) or PFN+COUNT")
      .Required();
  young.AddFlag("--clear", args->clear, "Forget that they were accessed");
  young
      .AddOption("--wait", args->wait,
                 "For answers, up to 10s; silence counts as accessed")
      .ValueName("TIME")
      .ShowDefault();
}

}  // namespace

void AddMmuListCommands(Commands& commands, Verb mmu) {
  auto list = std::make_shared<DomainArgs>();
  commands
      .Add(mmu, "list", "List secondary MMUs, and which answers they owe",
           [list](Session& session) { return List(session, *list); })
      .AddPositional(kDomainName, list->domain, kDomainHelp);
  auto stat = std::make_shared<DomainArgs>();
  Verb verb =
      commands.Add(mmu, "stat", "Show the figures of secondary MMUs",
                   [stat](Session& session) { return Stat(session, *stat); });
  verb.AddPositional(kDomainName, stat->domain, kDomainHelp).Required();
  verb.AddPositional("ID", stat->number, "Only the one with this number");
  AddNumberVerb(commands, mmu, "mappings",
                "Show the mappings that the daemon has recorded", Mappings);
  AddYoung(commands, mmu);
  AddNumberVerb(commands, mmu, "fence",
                "Void the mappings of one at once, and end its stream", Fence);
}

}  // namespace simvisor::client
