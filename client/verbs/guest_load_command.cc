// guest load.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/own_reason.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

constexpr FieldName kLoadFields[] = {
    {"spec.pages_per_second", "--pages-per-second"},
    {"spec.working_set_pages", "--working-set"},
};

struct LoadArgs {
  std::string domain;
  std::string pages_per_second = "0";  // 0: what fits the guest
  std::string working_set = "0";
  std::string pattern = "random";
  std::string seed = "1";
  bool start = false;  // never read: exists only for what it excludes
  bool status = false;
  bool stop = false;
  bool check = false;
};

v1::LoadPattern PatternNamed(const std::string& name) {
  if (name == "sequential") return v1::LOAD_PATTERN_SEQUENTIAL;
  return name == "random" ? v1::LOAD_PATTERN_RANDOM : v1::LOAD_PATTERN_HOTSPOT;
}

std::string PatternName(v1::LoadPattern pattern) {
  if (pattern == v1::LOAD_PATTERN_SEQUENTIAL) return "sequential";
  return pattern == v1::LOAD_PATTERN_RANDOM ? "random" : "hotspot";
}

// "1000 pages per second, random, on 64 MiB, seed 1: 2500 writes done".
std::string DescribeLoad(const v1::GuestLoad& load) {
  return absl::StrFormat(
      "%d pages per second, %s, on %s, seed %d: %d writes "
      "done",
      load.spec().pages_per_second(), PatternName(load.spec().pattern()),
      FormatPages(load.spec().working_set_pages()), load.spec().seed(),
      load.writes());
}

absl::Status StartLoad(Session& session, const Target& target,
                       const LoadArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pages, ParsePages(args.working_set));
  SIMVISOR_ASSIGN_OR_RETURN(
      const uint64_t rate,
      ParseNumber("pages per second", args.pages_per_second));
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t seed,
                            ParseNumber("seed", args.seed));
  auto request = target.MakeRequest<v1::StartGuestLoadRequest>();
  request.mutable_spec()->set_pages_per_second(rate);
  request.mutable_spec()->set_working_set_pages(pages);
  request.mutable_spec()->set_pattern(PatternNamed(args.pattern));
  request.mutable_spec()->set_seed(seed);
  return session.Show(target.client.Call(request),
                      [&](const v1::StartGuestLoadResponse& response) {
                        session.out() << DescribeLoad(response.load()) << "\n";
                      });
}

absl::Status ShowLoad(Session& session, const Target& target) {
  return session.Show(
      target.client.Call(target.MakeRequest<v1::GetGuestLoadRequest>()),
      [&](const v1::GetGuestLoadResponse& response) {
        session.out() << DescribeLoad(response.load())
                      << (response.load().running() ? "" : ", paused") << "\n";
      });
}

absl::Status StopLoad(Session& session, const Target& target) {
  return session.Show(
      target.client.Call(target.MakeRequest<v1::StopGuestLoadRequest>()),
      [&](const v1::StopGuestLoadResponse& response) {
        session.out() << DescribeLoad(response.load()) << "\n";
      });
}

absl::Status CheckLoad(Session& session, const Target& target,
                       const std::string& domain) {
  const auto response =
      target.client.Call(target.MakeRequest<v1::CheckGuestLoadRequest>());
  const absl::Status shown =
      session.Show(response, [&](const v1::CheckGuestLoadResponse& check) {
        session.out() << check.checked_pages() << " pages checked after "
                      << check.load().writes() << " writes, "
                      << check.mismatched_pages() << " do not match\n";
      });
  if (!shown.ok() || response->mismatched_pages() == 0) return shown;
  return WithReason(
      absl::DataLossError(absl::StrFormat(
          "guest load: %d of the %d pages of the load of %s do not hold what "
          "its writes left there, the first at pfn 0x%x; see guest read",
          response->mismatched_pages(), response->checked_pages(), domain,
          response->first_bad_pfn())),
      OwnReason::kCheckFailed);
}

absl::Status DoLoad(Session& session, const LoadArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  if (args.status) return ShowLoad(session, target);
  if (args.stop) return StopLoad(session, target);
  if (args.check) return CheckLoad(session, target, args.domain);
  return StartLoad(session, target, args);
}

// What a user meant who wrote "start", "stop", "status" or "check" where the
// domain belongs; empty for other names.
std::string OptionMeant(absl::string_view domain) {
  if (domain == "start") return "'guest load DOM' starts a load";
  if (domain == "stop") return "'guest load DOM --stop' ends a load";
  if (domain == "status") return "'guest load DOM --status' shows a load";
  return domain == "check" ? "'guest load DOM --check' checks a load" : "";
}

absl::Status RunLoad(Session& session, const LoadArgs& args) {
  session.NameFields(kLoadFields);
  const absl::Status status = DoLoad(session, args);
  const std::string meant = OptionMeant(args.domain);
  if (ReasonOf(status) != "DOMAIN_NOT_FOUND" || meant.empty()) return status;
  return WithMessage(status, absl::StrCat(status.message(), "; ", meant));
}

}  // namespace

void AddGuestLoadCommand(Commands& commands, Verb guest) {
  auto args = std::make_shared<LoadArgs>();
  Verb verb = commands.Add(
      guest, "load", "Run a program in a guest that keeps writing pages",
      [args](Session& session) { return RunLoad(session, *args); });
  verb.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  const Argument rate =
      verb.AddOption("--pages-per-second", args->pages_per_second,
                     "Pages written per second [1000]");
  const Argument size =
      verb.AddOption("--working-set", args->working_set,
                     "Pages to write to: a number, or a size such as 16m "
                     "[a quarter of the\n"
                     "guest's free pages, at most 64m]");
  const Argument pattern =
      verb.AddOption("--pattern", args->pattern,
                     "Order of the writes [random]; hotspot: 90 % go to the "
                     "first 10 % of the\npages")
          .OneOf({"sequential", "random", "hotspot"});
  const Argument seed =
      verb.AddOption("--seed", args->seed, "Seed of the writes [1]");
  const Argument start =
      verb.AddFlag("--start", args->start, "Start a load, the default");
  const Argument status = verb.AddFlag(
      "--status", args->status, "Show how far the guest's load is instead");
  const Argument stop =
      verb.AddFlag("--stop", args->stop, "End the guest's load instead");
  const Argument check =
      verb.AddFlag("--check", args->check,
                   "Compare the load's pages with what they must hold "
                   "instead; fails if one differs");
  for (Argument instead : {status, stop, check}) {
    for (Argument other :
         {rate, size, pattern, seed, start, status, stop, check}) {
      if (other != instead) instead.Excludes(other);
    }
  }
  const std::string command =
      absl::StrCat(commands.program().name(), " guest load DOM");
  verb.SetFooter(absl::StrCat(
      command, "           starts a load with numbers that fit the guest\n",
      command, " --status  shows how far it is\n",  //
      command, " --stop    ends it\n",
      "docs/guest-load.md says what it writes."));
}

}  // namespace simvisor::client
