// mmu check: makes a running client go through changes, and says what it does
// wrong.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/own_reason.h"
#include "client/mmu/mmu_commands.h"
#include "client/mmu/mmu_text.h"
#include "client/ui/json.h"

namespace simvisor::client {
namespace {

// How long the client may take until it has mapped something.
constexpr absl::Duration kPatience = absl::Seconds(5);
// How long renewals are watched at most.
constexpr absl::Duration kLongestWatch = absl::Seconds(15);
constexpr absl::Duration kInterval = absl::Milliseconds(10);
// Pages of a balloon, and mapped pages that are tried as ones to take away.
constexpr uint64_t kBalloonPages = 64;
constexpr uint64_t kCandidates = 4096;

struct CheckArgs {
  std::string domain;
  std::string name;
};

// What a rule found: an error says how the client breaks it.
using Finding = absl::StatusOr<std::string>;

absl::Status Broken(absl::string_view how) {
  return absl::FailedPreconditionError(how);
}

class ClientCheck {
 public:
  ClientCheck(const Target& target, const CheckArgs& args)
      : target_(target), args_(args) {}

  // --- Rules, in order; each calls the daemon ---

  // Finds the client.  The others need this one.
  Finding IsAttached() {
    SIMVISOR_ASSIGN_OR_RETURN(const auto mmu, Find());
    before_ = mmu;
    return absl::StrCat("subscription ", mmu.subscription(), ", rule ",
                        RuleText(mmu.rule()), ", hears of ",
                        FilterText(mmu.events()), " changes");
  }

  Finding MapsPages() {
    const absl::Time until = absl::Now() + kPatience;
    for (;;) {
      SIMVISOR_ASSIGN_OR_RETURN(const auto mmu, Find());
      if (mmu.mapped_pages() > 0) {
        return absl::StrCat(mmu.mapped_pages(), " pages");
      }
      if (absl::Now() > until) {
        return Broken("it has mapped nothing; let it use pages of the domain");
      }
      absl::SleepFor(kInterval);
    }
  }

  Finding AnswersABalloon() { return Balloon(v1::SECONDARY_MMU_WAIT_LEASE); }

  // An aborted change is as good as one that is done.
  Finding AnswersAtOnce() { return Balloon(v1::SECONDARY_MMU_WAIT_NEVER); }

  // Takes a page that it maps away for a moment; its frame stays the domain's.
  Finding LetsGoOfAPage() {
    SIMVISOR_ASSIGN_OR_RETURN(const auto runs, Mappings());
    uint64_t tried = 0;
    for (const v1::SecondaryMappingRun& run : runs.runs()) {
      for (uint64_t i = run.count(); i-- > 0 && tried < kCandidates; ++tried) {
        const uint64_t pfn = run.first_pfn() + i;
        const absl::Status taken = SetPage(pfn, std::nullopt);
        if (absl::IsFailedPrecondition(taken)) continue;  // the kernel's own
        SIMVISOR_RETURN_IF_ERROR(taken);
        const absl::Status gone = CheckIsGone(pfn);
        SIMVISOR_RETURN_IF_ERROR(SetPage(pfn, run.first_mfn() + i));
        SIMVISOR_RETURN_IF_ERROR(gone);
        SIMVISOR_RETURN_IF_ERROR(Find().status());
        return absl::StrFormat("pfn 0x%x was missing for a moment", pfn);
      }
    }
    return std::string("not checked: no page that it maps can be taken");
  }

  Finding SaysWhatIsYoung() {
    SIMVISOR_ASSIGN_OR_RETURN(const auto runs, Mappings());
    if (runs.runs().empty()) return std::string("not checked: nothing mapped");
    auto request = target_.MakeRequest<v1::SampleAccessedRequest>();
    request.mutable_pfns()->set_first_pfn(runs.runs(0).first_pfn());
    request.mutable_pfns()->set_count(runs.runs(0).count());
    SIMVISOR_ASSIGN_OR_RETURN(const auto sample, target_.client.Call(request));
    if (sample.silent() > 0) {
      return Broken(absl::StrCat(
          sample.silent(), " of ", sample.asked(),
          " secondary MMUs that map these pages did not say it in time"));
    }
    return absl::StrCat(sample.asked(), " asked");
  }

  // A client that renews every third of a lease has two thirds left at least.
  Finding Renews() {
    const absl::Time began = absl::Now();
    uint32_t most = 0;
    uint32_t least = UINT32_MAX;
    while (
        absl::Now() - began <
        std::min(kLongestWatch, 1.5 * absl::Milliseconds(most) + kInterval)) {
      SIMVISOR_ASSIGN_OR_RETURN(const auto mmu, Find());
      most = std::max(most, mmu.lease_left_ms());
      least = std::min(least, mmu.lease_left_ms());
      absl::SleepFor(kInterval);
    }
    if (least < most / 2) {
      return Broken(absl::StrCat("only ", least, " ms of ", most,
                                 " ms were left once; renew every third"));
    }
    return absl::StrCat("at least ", least, " ms of ", most, " ms were left");
  }

  Finding UsesNothingStale() {
    SIMVISOR_ASSIGN_OR_RETURN(const auto mmu, Find());
    const uint64_t stale = mmu.stale_accesses() - before_.stale_accesses();
    if (stale > 0) {
      return Broken(absl::StrCat(
          stale, " accesses through mappings that it had given up"));
    }
    return absl::StrCat(mmu.begins() - before_.begins(),
                        " ranges, the slowest answer took ",
                        mmu.max_answer_us(), " us");
  }

 private:
  // The client, which must be the one that was found first, and live.
  absl::StatusOr<v1::SecondaryMmu> Find() {
    auto request = target_.MakeRequest<v1::ListSecondaryMmusRequest>();
    SIMVISOR_ASSIGN_OR_RETURN(const auto list,
                              target_.client.ListAllSecondaryMmus(request));
    for (const v1::SecondaryMmu& mmu : list.mmus()) {
      if (mmu.name() != args_.name) continue;
      if (before_.subscription() != 0 &&
          mmu.subscription() != before_.subscription()) {
        continue;
      }
      if (mmu.state() == v1::SECONDARY_MMU_STATE_LIVE) return mmu;
      return Broken(absl::StrCat("it is ", StateText(mmu.state())));
    }
    if (before_.subscription() != 0) {
      return Broken(absl::StrCat("subscription ", before_.subscription(),
                                 " is gone: it was fenced or has left"));
    }
    return Broken(absl::StrCat(args_.domain, " has no secondary MMU named ",
                               args_.name, "; see mmu list"));
  }

  absl::StatusOr<v1::ListSecondaryMappingsResponse> Mappings() {
    v1::ListSecondaryMappingsRequest request;
    request.set_subscription(before_.subscription());
    v1::ListSecondaryMappingsResponse all;
    SIMVISOR_RETURN_IF_ERROR(target_.client.ListSecondaryMappings(
        request, [&](const v1::ListSecondaryMappingsResponse& part) {
          all.MergeFrom(part);
          return absl::OkStatus();
        }));
    return all;
  }

  Finding Balloon(v1::SecondaryMmuWait wait) {
    auto down = target_.MakeRequest<v1::BalloonDownRequest>();
    down.set_pages(kBalloonPages);
    down.set_secondary_mmus(wait);
    const absl::Time began = absl::Now();
    const auto moved = target_.client.Call(down);
    const absl::Duration took = absl::Now() - began;
    const bool busy = ReasonOf(moved.status()) == "SECONDARY_MMU_BUSY";
    if (!moved.ok() && !busy) return moved.status();
    if (moved.ok()) {
      auto up = target_.MakeRequest<v1::BalloonUpRequest>();
      up.set_pages(moved->moved_pages());
      SIMVISOR_RETURN_IF_ERROR(target_.client.Call(up).status());
    }
    SIMVISOR_RETURN_IF_ERROR(Find().status());
    if (busy) return std::string("not in time, so nothing moved");
    return absl::StrFormat("%d pages in %.1f ms", moved->moved_pages(),
                           absl::ToDoubleMilliseconds(took));
  }

  // Makes the word missing, or RAM again; the frame stays with the domain.
  absl::Status SetPage(uint64_t pfn, std::optional<uint64_t> mfn) {
    auto request = target_.MakeRequest<v1::SetP2mRangeRequest>();
    request.set_first_pfn(pfn);
    request.set_count(1);
    request.set_p2m_class(mfn ? v1::P2M_CLASS_RAM : v1::P2M_CLASS_MISSING);
    request.set_first_mfn(mfn.value_or(0));
    request.set_ram_policy(v1::RAM_POLICY_KEEP);
    return target_.client.Call(request).status();
  }

  absl::Status CheckIsGone(uint64_t pfn) {
    SIMVISOR_ASSIGN_OR_RETURN(const auto runs, Mappings());
    for (const v1::SecondaryMappingRun& run : runs.runs()) {
      if (pfn >= run.first_pfn() && pfn - run.first_pfn() < run.count()) {
        return Broken(absl::StrFormat("pfn 0x%x is still mapped", pfn));
      }
    }
    return absl::OkStatus();
  }

  const Target& target_;
  const CheckArgs& args_;
  v1::SecondaryMmu before_;
};

struct Rule {
  absl::string_view name;
  Finding (ClientCheck::*check)();
};
constexpr Rule kRules[] = {
    {"it is attached", &ClientCheck::IsAttached},
    {"it maps pages", &ClientCheck::MapsPages},
    {"it answers a balloon", &ClientCheck::AnswersABalloon},
    {"it lets go of a page", &ClientCheck::LetsGoOfAPage},
    {"it answers a change that does not wait", &ClientCheck::AnswersAtOnce},
    {"it says what is young", &ClientCheck::SaysWhatIsYoung},
    {"it renews in time", &ClientCheck::Renews},
    {"it uses nothing that it gave up", &ClientCheck::UsesNothingStale},
};

// Prints the finding, unless it is for JSON, which it is added to.
void Report(Session& session, absl::string_view name, const Finding& finding,
            Json& checks) {
  const std::string detail =
      finding.ok() ? *finding : std::string(finding.status().message());
  checks.push_back({{"name", std::string(name)},
                    {"holds", finding.ok()},
                    {"detail", detail}});
  if (session.json()) return;
  session.out() << (finding.ok() ? "ok    " : "FAIL  ") << name << ": "
                << detail << "\n";
  session.out().flush();
}

absl::Status Check(Session& session, const CheckArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  ClientCheck client(target, args);
  Json checks = Json::array();
  int broken = 0;
  for (const Rule& rule : kRules) {
    const Finding finding = (client.*rule.check)();
    if (!finding.ok() && IsOfCall(finding.status())) return finding.status();
    Report(session, rule.name, finding, checks);
    if (finding.ok()) continue;
    ++broken;
    if (&rule == &kRules[0]) break;  // the others need it
  }
  if (session.json()) {
    session.PrintJson(Json{{"checks", checks}, {"holds", broken == 0}});
  }
  if (broken == 0) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "mmu check: ", broken, " of ", std::size(kRules),
          " rules do not hold; docs/secondary-mmu.md explains them")),
      OwnReason::kCheckFailed);
}

}  // namespace

void AddMmuCheckCommand(Commands& commands, Verb mmu) {
  auto args = std::make_shared<CheckArgs>();
  Verb check = commands.Add(
      mmu, "check", "Make a running client go through changes, and judge it",
      [args](Session& session) { return Check(session, *args); });
  check.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  check.AddPositional("NAME", args->name, "Its name, as mmu list shows it")
      .Required();
  check.SetFooter(
      "The client should use pages all the time meanwhile.  Pages are taken "
      "from the\nguest and given back.  Only a live migration takes write "
      "access away, so that is\nnot checked.");
}

}  // namespace simvisor::client
