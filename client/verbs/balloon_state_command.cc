// balloon state.

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "client/ui/json.h"
#include "client/ui/shortfall_text.h"
#include "client/ui/xl_output.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

std::string DriverStateName(v1::BalloonState state) {
  if (state == v1::BALLOON_STATE_UNSPECIFIED) return "has not run yet";
  return std::string(
      absl::StripPrefix(v1::BalloonState_Name(state), "BALLOON_STATE_"));
}

std::string Credit(const v1::BalloonDriver& driver) {
  const auto credit =
      static_cast<int64_t>(driver.target_pages() - driver.current_pages());
  if (credit == 0) return "0 pages";
  return absl::StrCat(credit,
                      credit > 0 ? " pages (to get)" : " pages (to give)");
}

std::string MaxRetry(uint32_t count) {
  return count == 0 ? "0 (any number)" : absl::StrCat(count);
}

void PrintDriver(Session& session, const v1::Domain& domain) {
  const v1::BalloonDriver& driver = domain.balloon_driver();
  const auto print = [&](absl::string_view name, absl::string_view value) {
    session.out() << InfoLine(name, value);
  };
  const auto pages = [](uint64_t count) {
    return absl::StrCat(count, " pages");
  };
  print("state", DriverStateName(driver.state()));
  print("credit", Credit(driver));
  if (domain.memory().has_shortfall()) {
    const v1::BalloonShortfall& shortfall = domain.memory().shortfall();
    print("shortfall", ExplainShortfall(domain.memory()));
    print("reachable", pages(shortfall.reachable_pages()));
    print("asked for", pages(domain.memory().target_pages()));
  }
  const uint64_t held = domain.memory().foreign_held_pages();
  print("current",
        held == 0 ? pages(driver.current_pages())
                  : absl::StrCat(pages(driver.current_pages()), ", and ", held,
                                 " given back that other domains map"));
  print("target", pages(driver.target_pages()));
  print("low", pages(driver.low_pages()));
  print("high", pages(driver.high_pages()));
  print("batch", pages(driver.batch_pages()));
  print("schedule_delay", absl::StrCat(driver.schedule_delay_seconds(), " s"));
  print("max_schedule_delay",
        absl::StrCat(driver.max_schedule_delay_seconds(), " s"));
  print("retry_count", absl::StrCat(driver.retry_count()));
  print("max_retry_count", MaxRetry(driver.max_retry_count()));
  if (driver.extra_regions().empty()) print("extra_regions", "none");
  for (const v1::PfnExtent& region : driver.extra_regions()) {
    print("extra_regions",
          absl::StrFormat("[0x%x->0x%x] %d pages", region.first_pfn(),
                          region.first_pfn() + region.count(), region.count()));
  }
}

// The driver's fields, and the shortfall beside them.
absl::Status PrintAsJson(Session& session, const v1::Domain& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(Json json, ToJson(domain.balloon_driver()));
  if (domain.memory().has_shortfall()) {
    SIMVISOR_ASSIGN_OR_RETURN(json["shortfall"],
                              ToJson(domain.memory().shortfall()));
  }
  session.PrintJson(json);
  return absl::OkStatus();
}

absl::Status BalloonState(Session& session, const std::string& name) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(name));
  SIMVISOR_ASSIGN_OR_RETURN(
      const v1::GetDomainResponse response,
      target.client.Call(target.MakeRequest<v1::GetDomainRequest>()));
  const v1::Domain& domain = response.domain();
  if (!domain.has_balloon_driver()) {
    const bool dying = domain.state() == v1::DOMAIN_STATE_DYING;
    return MakeError(
        absl::StatusCode::kFailedPrecondition,
        dying ? Reason::kDomainDying : Reason::kDomainNotBooted,
        absl::StrCat("balloon state of ", name, ": ",
                     dying ? "it is being destroyed"
                           : "its guest has not booted, so no driver runs yet; "
                             "unpause it"),
        {{fact::kDomain, domain.name()}, {fact::kDomid, domain.domid()}});
  }
  if (session.json()) return PrintAsJson(session, domain);
  PrintDriver(session, domain);
  return absl::OkStatus();
}

}  // namespace

void AddBalloonStateCommand(Commands& commands, Verb balloon) {
  auto name = std::make_shared<std::string>();
  Verb verb = commands.Add(
      balloon, "state",
      "Show the figures and the state of a guest's balloon driver",
      [name](Session& session) { return BalloonState(session, *name); });
  verb.AddPositional(kDomainName, *name, kDomainHelp).Required();
  verb.SetFooter(
      "Names are those of the driver's balloon_stats.  target is what the\n"
      "driver works towards: it is not told of another one while its guest\n"
      "does not run, and lowers it when it gives up.  A guest that has not\n"
      "what it was asked for has a shortfall.  credit is target minus\n"
      "current: what is still to move.  After AGAIN the driver tries\n"
      "again in schedule_delay seconds; after CANCELLED in an hour, if there\n"
      "is credit left; after either when the target changes.  With -o json,\n"
      "shortfall (a BalloonShortfall) says why credit is left, if it is.");
}

}  // namespace simvisor::client
