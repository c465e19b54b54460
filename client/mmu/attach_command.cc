// mmu attach: a software TLB that prints what it is told.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/api/software_tlb.h"
#include "client/mmu/mmu_commands.h"
#include "client/mmu/mmu_text.h"
#include "client/session/domain_fate.h"
#include "client/ui/exit_code.h"
#include "client/ui/exit_signals.h"
#include "client/ui/quantities.h"

namespace simvisor::client {
namespace {

constexpr FieldName kAttachFields[] = {
    {"register.intervals", "--range"},
    {"register.name", "--name"},
    {"register.lease_ms", "--lease"},
    {"register.fault_window", "--window"},
};

struct AttachArgs {
  std::string domain;
  std::string name = "simvisor-mmu";
  std::vector<std::string> ranges;
  std::string rule;
  std::string events = "all";
  std::string lease = "5s";
  int window = 256;
  bool resumable = false;
  std::vector<std::string> touch;
  bool write = false;
  int slow_ms = 0;
  bool stuck = false;
  bool nack = false;
};

absl::StatusOr<std::vector<v1::PfnExtent>> ParseRanges(
    const std::vector<std::string>& texts) {
  std::vector<v1::PfnExtent> ranges;
  for (const std::string& text : texts) {
    SIMVISOR_ASSIGN_OR_RETURN(ranges.emplace_back(), ParsePfnRange(text));
  }
  return ranges;
}

absl::StatusOr<SoftwareTlb::Options> MakeOptions(const AttachArgs& args) {
  SoftwareTlb::Options options;
  options.name = args.name;
  SIMVISOR_ASSIGN_OR_RETURN(options.intervals, ParseRanges(args.ranges));
  if (args.rule == "global") options.rule = v1::RETRY_RULE_GLOBAL;
  if (args.rule == "interval") options.rule = v1::RETRY_RULE_INTERVAL;
  options.events =
      args.events == "mapped" ? v1::EVENT_FILTER_MAPPED : v1::EVENT_FILTER_ALL;
  SIMVISOR_ASSIGN_OR_RETURN(const uint32_t lease,
                            ParseMilliseconds("--lease", args.lease));
  options.lease = absl::Milliseconds(lease);
  options.fault_window = static_cast<uint32_t>(args.window);
  options.resumable = args.resumable;
  return options;
}

class Attachment {
 public:
  Attachment(Session& session, const AttachArgs& args)
      : session_(session), args_(args) {}

  absl::Status Run(const Target& target, SoftwareTlb::Options options,
                   const std::vector<v1::PfnExtent>& touch) {
    options.observe = [this](const v1::SubscribeResponse& event) {
      Print(event);
    };
    options.decide = [this](const v1::SubscribeResponse& event) {
      return Decide(event);
    };
    CallLimits limits;
    limits.must_end = [this] { return interruption_.signal() != 0; };
    if (session_.options().timeout_seconds > 0) {
      limits.timeout = absl::Seconds(session_.options().timeout_seconds);
    }
    SIMVISOR_ASSIGN_OR_RETURN(const auto tlb,
                              SoftwareTlb::Attach(target.client, target.ref,
                                                  std::move(options), limits));
    absl::Status status = Touch(*tlb, touch);
    constexpr absl::Duration kSlice = absl::Milliseconds(50);
    while (status.ok() && interruption_.signal() == 0 &&
           !tlb->AwaitEnd(kSlice)) {
    }
    if (interruption_.signal() != 0) tlb->Detach();
    if (tlb->AwaitEnd(absl::ZeroDuration())) status = tlb->End();
    PrintFigures(tlb->stats());
    if (interruption_.signal() != 0) session_.PrintEnd(status);
    return status;
  }

 private:
  void Print(const v1::SubscribeResponse& event) {
    absl::MutexLock lock(&mu_);
    // Renewals come all the time, and say nothing unless they are refused.
    if (event.has_renewed() && event.renewed().extended()) return;
    if (session_.json()) {
      session_.PrintJsonLine(event).IgnoreError();
    } else {
      session_.out() << "#" << event.ev() << " " << EventText(event) << "\n";
    }
    session_.out().flush();
  }

  // On the thread that handles messages.
  SoftwareTlb::Answer Decide(const v1::SubscribeResponse& event) {
    if (args_.stuck) return SoftwareTlb::Answer::kKeep;
    if (args_.nack && event.has_begin() && !event.begin().blockable()) {
      return SoftwareTlb::Answer::kRefuse;
    }
    if (args_.slow_ms > 0) {
      interruption_.Wait(absl::Milliseconds(args_.slow_ms));
    }
    return SoftwareTlb::Answer::kLetGo;
  }

  // Maps each page once.
  absl::Status Touch(SoftwareTlb& tlb,
                     const std::vector<v1::PfnExtent>& ranges) {
    for (const v1::PfnExtent& pfns : ranges) {
      for (uint64_t i = 0; i < pfns.count(); ++i) {
        if (interruption_.signal() != 0) return absl::OkStatus();
        SIMVISOR_RETURN_IF_ERROR(
            tlb.Use(pfns.first_pfn() + i, args_.write, [](uint64_t) {})
                .status());
      }
    }
    return absl::OkStatus();
  }

  void PrintFigures(const SoftwareTlb::Stats& stats) {
    if (session_.json()) return;
    absl::MutexLock lock(&mu_);
    session_.out() << args_.domain << ": " << stats.installs << " installs, "
                   << stats.retries << " retries, " << stats.begins
                   << " ranges begun, " << stats.ends << " ended, "
                   << stats.aborts << " aborted\n";
    session_.out().flush();
  }

  Session& session_;
  const AttachArgs& args_;
  // Ends the program when it goes, if a signal has come.
  Interruption interruption_;
  absl::Mutex mu_;  // serialises output
};

absl::Status Attach(Session& session, const AttachArgs& args) {
  session.NameFields(kAttachFields);
  SIMVISOR_ASSIGN_OR_RETURN(SoftwareTlb::Options options, MakeOptions(args));
  SIMVISOR_ASSIGN_OR_RETURN(const auto touch, ParseRanges(args.touch));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  return Attachment(session, args).Run(target, std::move(options), touch);
}

void AddAnswers(Verb attach, AttachArgs& args) {
  const Argument slow =
      attach.AddOption("--slow", args.slow_ms, "Wait before each answer")
          .Between(1, 600000)
          .ValueName("MS");
  const Argument stuck = attach.AddFlag(
      "--stuck", args.stuck, "Never answer; the daemon fences it then");
  attach
      .AddFlag("--nack", args.nack,
               "Refuse what may be refused: changes that do not wait")
      .Excludes(slow)
      .Excludes(stuck);
  attach.SetFooter(
      "It stays attached until Ctrl-C, which detaches it, or until the daemon "
      "ends it.\nPages are PFN, LO-HI (both included) or PFN+COUNT.");
}

}  // namespace

void AddMmuAttachCommand(Commands& commands, Verb mmu) {
  auto args = std::make_shared<AttachArgs>();
  Verb attach = commands.Add(
      mmu, "attach", "Be a secondary MMU, and print what it is told",
      [args](Session& session) { return Attach(session, *args); });
  attach.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  attach.AddOption("--name", args->name, "Name in lists")
      .ValueName("NAME")
      .ShowDefault();
  attach
      .AddOption("--range", args->ranges,
                 "Watch only these pages; may be given more than once")
      .ValueName("LO-HI");
  attach
      .AddOption("--rule", args->rule,
                 "By what its faults are judged; interval with --range,\n"
                 "global without")
      .OneOf({"global", "interval"});
  attach
      .AddOption("--events", args->events,
                 "Hear of all changes there, or only where it maps")
      .OneOf({"all", "mapped"})
      .ShowDefault();
  attach.AddOption("--lease", args->lease, "From 100ms to 60s")
      .ValueName("TIME")
      .ShowDefault();
  attach.AddOption("--window", args->window, "Faults that may be unanswered")
      .Between(1, 4096)
      .ShowDefault();
  attach.AddFlag("--resumable", args->resumable,
                 "Keep its mappings at the daemon while the stream is broken");
  const Argument touch =
      attach
          .AddOption("--touch", args->touch,
                     "Map these pages; may be given more than once")
          .ValueName("LO-HI");
  attach.AddFlag("--write", args->write, "Map them for writing").Needs(touch);
  AddAnswers(attach, *args);
}

}  // namespace simvisor::client
