// run: a script of requests with expected replies.

#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "client/script/script_file.h"
#include "client/script/script_runner.h"
#include "client/ui/files.h"
#include "client/ui/json.h"
#include "client/ui/progress_bar.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

// Prints each step as a line, or all of them as one JSON object at the end.
class StepReport {
 public:
  StepReport(Session& session, const std::string& title)
      : session_(session), bar_(session.BarStream(true), "run") {
    json_["title"] = title;
    json_["steps"] = Json::array();
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
    const bool holds = step.faults.empty();
    if (session_.json()) {
      json_["steps"].push_back({{"number", step.number},
                                {"name", step.name},
                                {"holds", holds},
                                {"milliseconds", ms},
                                {"faults", step.faults}});
      return;
    }
    bar_.Clear();
    session_.out() << absl::StrFormat("%-4s %d/%d %s (%.1f ms)\n",
                                      holds ? "ok" : "FAIL", step.number,
                                      step.total, Printable(step.name), ms);
    for (const std::string& fault : step.faults) {
      session_.out() << "     " << fault << "\n";
    }
    session_.out() << std::flush;
  }

  void End(bool holds) {
    bar_.Clear();
    if (!session_.json()) return;
    json_["holds"] = holds;
    session_.PrintJson(json_);
  }

 private:
  Session& session_;
  ProgressBar bar_;
  absl::Time begin_;
  Json json_;
};

absl::Status RunScriptFile(Session& session, const std::string& path) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(path, kMaxScriptBytes));
  SIMVISOR_ASSIGN_OR_RETURN(const ScriptFile file, ParseScript(path, text));
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  StepReport report(session, file.script.title());
  const absl::Status status = RunScript(
      file,
      [&](const auto& method, const auto& request, auto& response) {
        return client->CallMethod(method, request, response, {});
      },
      {.started = [&](const StepOutcome& step) { report.Started(step); },
       .finished = [&](const StepOutcome& step) { report.Finished(step); }});
  report.End(status.ok());
  return status;
}

}  // namespace

void AddScriptCommands(Commands& commands) {
  auto path = std::make_shared<std::string>();
  Verb verb = commands.Add(
      "run", "Run a script of requests with expected replies",
      [path](Session& session) { return RunScriptFile(session, *path); });
  verb.AddPositional("SCRIPT", *path,
                     "Script in protobuf's text format; - is standard input")
      .Required();
  verb.SetFooter(
      "A script is a simvisor.v1.Script (proto/simvisor/v1/script.proto).  "
      "The\n"
      "first step that fails ends the run with exit code 1; what it expected\n"
      "and what came instead is printed below it.");
}

}  // namespace simvisor::client
