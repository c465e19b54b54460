// run: a script of requests with expected replies.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/error_lines.h"
#include "client/api/own_reason.h"
#include "client/script/run_control.h"
#include "client/script/script_file.h"
#include "client/script/script_runner.h"
#include "client/session/domain_fate.h"
#include "client/ui/exit_signals.h"
#include "client/ui/image_file.h"
#include "client/ui/json.h"
#include "client/ui/progress_bar.h"
#include "client/verbs/commands.h"
#include "client/xl/domain_config.h"

namespace simvisor::client {
namespace {

struct RunArgs {
  std::string path;
  RunOptions options;
};

// The system's time, and signals if there are cleanup steps to run after them;
// without, a signal ends the program as usual.
class SystemControl final : public RunControl {
 public:
  SystemControl(Session& session, bool has_cleanup) : session_(session) {
    if (has_cleanup) interruption_.emplace();
  }

  absl::Duration Now() override {
    return absl::FromChrono(
        std::chrono::steady_clock::now().time_since_epoch());
  }

  void Wait(absl::Duration time) override {
    if (interruption_ && !in_cleanup_) {
      interruption_->Wait(time);
    } else {
      absl::SleepFor(time);
    }
  }

  bool Interrupted() override { return HasSignal() && !in_cleanup_; }

  void BeginCleanup() override {
    if (HasSignal()) {
      session_.PrintRemark("note",
                           "interrupted; the cleanup steps run now, and a "
                           "second Ctrl-C ends them");
    }
    in_cleanup_ = true;
  }

  // Whether a call in progress must end.
  bool CallMustEnd() {
    return Interrupted() && interruption_->age() >= kCallGrace;
  }

  // Whether the program ends by a signal.
  bool HasSignal() const {
    return interruption_ && interruption_->signal() != 0;
  }

 private:
  Session& session_;
  std::optional<Interruption> interruption_;
  bool in_cleanup_ = false;
};

const char* NameOf(StepEnd end) {
  switch (end) {
    case StepEnd::kHolds:
      return "ok";
    case StepEnd::kFails:
    case StepEnd::kLost:
      return "failed";
    case StepEnd::kSkipped:
      return "skipped";
    case StepEnd::kInterrupted:
      return "interrupted";
  }
  return "";
}

const char* MarkOf(StepEnd end) {
  switch (end) {
    case StepEnd::kHolds:
      return "ok";
    case StepEnd::kFails:
    case StepEnd::kLost:
      return "FAIL";
    case StepEnd::kSkipped:
      return "skip";
    case StepEnd::kInterrupted:
      return "STOP";
  }
  return "";
}

// Prints each step as a line, or all of them as one JSON object at the end.
class StepReport {
 public:
  StepReport(Session& session, const std::string& title)
      : session_(session), bar_(session.BarStream(true), "run") {
    json_["title"] = title;
    json_["steps"] = Json::array();
    json_["cleanup"] = Json::array();
    if (!session_.json() && !title.empty()) {
      session_.out() << Printable(title) << "\n";
    }
  }

  void Started(const StepOutcome& step) {
    bar_.Update(step.number - 1, step.total);
    begin_ = absl::Now();
  }

  void Finished(const StepOutcome& step) {
    const double ms = absl::ToDoubleMilliseconds(absl::Now() - begin_);
    if (session_.json()) {
      AddJson(step, ms);
    } else {
      Print(step, ms);
    }
  }

  void End(bool holds) {
    bar_.Clear();
    if (!session_.json()) return;
    json_["holds"] = holds;
    session_.PrintJson(json_);
  }

 private:
  void AddJson(const StepOutcome& step, double ms) {
    const StepResult& result = step.result;
    json_[step.cleanup ? "cleanup" : "steps"].push_back(
        {{"number", step.number},
         {"name", step.name},
         {"holds", result.end == StepEnd::kHolds},
         {"outcome", NameOf(result.end)},
         {"milliseconds", ms},
         {"calls", result.calls},
         {"faults", result.faults}});
  }

  void Print(const StepOutcome& step, double ms) {
    const StepResult& result = step.result;
    bar_.Clear();
    session_.out() << absl::StrFormat(
        "%-4s %s%d/%d %s", MarkOf(result.end), step.cleanup ? "cleanup " : "",
        step.number, step.total, Printable(step.name));
    if (result.end != StepEnd::kSkipped) {
      session_.out() << absl::StrFormat(
          " (%.1f ms%s)", ms,
          result.calls > 1 ? absl::StrCat(", ", result.calls, " calls") : "");
    }
    session_.out() << "\n";
    // A response may differ in thousands of places; JSON has them all.
    for (const std::string& fault : FirstLines(result.faults)) {
      session_.out() << "     " << fault << "\n";
    }
    session_.out() << std::flush;
  }

  Session& session_;
  ProgressBar bar_;
  absl::Time begin_;
  Json json_;
};

// The outcome of a run, with the reason of what failed first.
absl::Status NameReason(const absl::Status& outcome) {
  switch (outcome.code()) {
    case absl::StatusCode::kUnavailable:
      return WithReason(outcome, OwnReason::kDaemonUnreachable);
    case absl::StatusCode::kCancelled:
      return WithReason(outcome, OwnReason::kCancelled);
    default:
      return WithReason(outcome, OwnReason::kStepFailed);
  }
}

// `error` of a file that is not a script; says so if it is a configuration.
absl::Status ExplainScript(const std::string& path, const std::string& text,
                           const absl::Status& error) {
  std::vector<std::string> ignored;
  if (!ParseDomainConfig(path, text, {}, ignored).ok()) return error;
  return WithMessage(
      error, absl::StrCat(FileText(path), ": it is a configuration; 'create ",
                          path, "' takes it"));
}

absl::Status RunScriptFile(Session& session, const RunArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::string text,
                            ReadTextFile(args.path, kMaxScriptBytes));
  const auto parsed = ParseScript(args.path, text);
  if (!parsed.ok()) {
    return WithReason(ExplainScript(args.path, text, parsed.status()),
                      OwnReason::kScriptInvalid);
  }
  const ScriptFile& file = *parsed;
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  StepReport report(session, file.script.title());
  // Ends the program when it goes, if a signal has come.
  SystemControl control(session, file.script.cleanup_size() > 0);
  const absl::Status status = NameReason(RunScript(
      file, args.options,
      [&](const auto& method, const auto& request, auto& response,
          absl::Duration timeout) {
        return client->CallMethod(method, request, response,
                                  {.timeout = timeout, .must_end = [&] {
                                     return control.CallMustEnd();
                                   }});
      },
      control,
      {.started = [&](const StepOutcome& step) { report.Started(step); },
       .finished = [&](const StepOutcome& step) { report.Finished(step); }}));
  report.End(status.ok());
  if (control.HasSignal()) session.PrintEnd(status);
  return status;
}

}  // namespace

void AddScriptCommands(Commands& commands) {
  auto args = std::make_shared<RunArgs>();
  Verb verb = commands.Add(
      "run", "Run a script of requests with expected replies",
      [args](Session& session) { return RunScriptFile(session, *args); });
  verb.AddPositional("SCRIPT", args->path,
                     "Script in protobuf's text format; - is standard input")
      .Required();
  verb.AddFlag("-k,--keep-going", args->options.keep_going,
               "Run the other steps too when one fails");
  verb.SetFooter(
      "A script is a simvisor.v1.Script (proto/simvisor/v1/script.proto);\n"
      "docs/scripts.md explains it.  The first step that fails ends the "
      "steps,\n"
      "and the exit code is 1; what it expected and what came instead is\n"
      "printed below it.  The cleanup steps always run, after Ctrl-C too.");
}

}  // namespace simvisor::client
