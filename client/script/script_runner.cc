#include "client/script/script_runner.h"

#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/script/script_check.h"
#include "client/script/step_call.h"

namespace simvisor::client {
namespace {

using google::protobuf::FieldDescriptor;

// What has become of the steps, or of the cleanup steps.
struct Tally {
  int total = 0;
  int failed = 0;
  int first_failed = 0;  // number of a step
  int skipped = 0;
  // What ended the steps early; among the cleanup steps, which nothing ends,
  // only the error of the first failure if the daemon could not be reached.
  absl::Status ended;
};

class Run {
 public:
  Run(const ScriptFile& file, const RunOptions& options, MethodCaller call,
      RunControl& control, const StepObserver& observer)
      : file_(file),
        options_(options),
        control_(control),
        observer_(observer),
        runner_(call, control) {}

  void RunSteps() {
    steps_.total = file_.script.steps_size();
    for (int i = 0; i < steps_.total && MayGoOn(i); ++i) {
      Count(RunStep({.cleanup = false, .index = i}), steps_);
    }
  }

  void RunCleanup() {
    control_.BeginCleanup();
    cleanup_.total = file_.script.cleanup_size();
    for (int i = 0; i < cleanup_.total; ++i) {
      Count(RunStep({.cleanup = true, .index = i}), cleanup_);
    }
  }

  absl::Status ToStatus() const {
    std::vector<std::string> parts;
    if (steps_.failed > 0) parts.push_back(Failures());
    if (!steps_.ended.ok()) parts.emplace_back(steps_.ended.message());
    if (cleanup_.failed > 0) parts.push_back(CleanupFailures());
    if (parts.empty()) return absl::OkStatus();
    if (parts.size() == 1 && !steps_.ended.ok()) return steps_.ended;
    return {Code(), absl::StrJoin(parts, "; ")};
  }

 private:
  bool MayGoOn(int index) {
    if (!steps_.ended.ok()) return false;
    if (steps_.failed > 0 && !options_.keep_going) return false;
    if (!control_.Interrupted()) return true;
    steps_.ended = absl::CancelledError(absl::StrCat(
        "interrupted before step ", index + 1, " of ", steps_.total));
    return false;
  }

  StepOutcome RunStep(const StepPlace& place) {
    const auto* field = v1::Script::descriptor()->FindFieldByNumber(
        place.cleanup ? v1::Script::kCleanupFieldNumber
                      : v1::Script::kStepsFieldNumber);
    const auto& steps =
        place.cleanup ? file_.script.cleanup() : file_.script.steps();
    const v1::Step& step = steps[place.index];
    StepOutcome outcome{.cleanup = place.cleanup,
                        .number = place.index + 1,
                        .total = steps.size(),
                        .name = step.name().empty()
                                    ? StepCall(step).method()->name()
                                    : step.name(),
                        .result = {}};
    observer_.started(outcome);
    const std::string missing = FindMissing(step);
    outcome.result =
        missing.empty()
            ? runner_.Run(step,
                          file_.locations->GetTreeForNested(field, place.index))
            : StepResult{.end = StepEnd::kSkipped, .faults = {missing}};
    observer_.finished(outcome);
    return outcome;
  }

  // Why the step cannot be called; empty if all its variables are set.
  std::string FindMissing(const v1::Step& step) const {
    std::set<std::string> names;
    FindUses(step, names).IgnoreError();  // checked before the run
    for (const std::string& name : names) {
      if (runner_.variables().contains(name)) continue;
      return absl::StrCat("${", name, "} is not set: ",
                          FindSaver(file_.script, name).ToString(),
                          " has not saved it");
    }
    return "";
  }

  static void Count(const StepOutcome& outcome, Tally& tally) {
    switch (outcome.result.end) {
      case StepEnd::kHolds:
        return;
      case StepEnd::kSkipped:
        ++tally.skipped;
        return;
      case StepEnd::kInterrupted:
        tally.ended = absl::CancelledError(absl::StrCat(
            "interrupted in step ", outcome.number, " of ", outcome.total));
        return;
      case StepEnd::kLost:
        if (tally.failed == 0 || !outcome.cleanup) {
          tally.ended = outcome.result.lost;
        }
        break;
      case StepEnd::kFails:
        break;
    }
    if (outcome.cleanup || outcome.result.end == StepEnd::kFails) {
      if (tally.failed++ == 0) tally.first_failed = outcome.number;
    }
  }

  // REQUIRES: a step has failed.
  std::string Failures() const {
    if (!options_.keep_going) {
      return absl::StrCat("step ", steps_.first_failed, " of ", steps_.total,
                          " does not hold");
    }
    std::string text = absl::StrCat(steps_.failed, " of ", steps_.total);
    if (steps_.failed == 1) {
      absl::StrAppend(&text, " steps does not hold, step ");
    } else {
      absl::StrAppend(&text, " steps do not hold, the first is step ");
    }
    absl::StrAppend(&text, steps_.first_failed);
    if (steps_.skipped > 0)
      absl::StrAppend(&text, "; ", steps_.skipped, " skipped");
    return text;
  }

  // REQUIRES: a cleanup step has failed.
  std::string CleanupFailures() const {
    if (cleanup_.failed == 1) {
      return absl::StrCat("cleanup step ", cleanup_.first_failed, " of ",
                          cleanup_.total, " does not hold");
    }
    return absl::StrCat(cleanup_.failed, " of ", cleanup_.total,
                        " cleanup steps do not hold");
  }

  // That of the first failure.
  // REQUIRES: there is one.
  absl::StatusCode Code() const {
    if (steps_.failed > 0) return absl::StatusCode::kFailedPrecondition;
    if (!steps_.ended.ok()) return steps_.ended.code();
    if (!cleanup_.ended.ok()) return cleanup_.ended.code();
    return absl::StatusCode::kFailedPrecondition;
  }

  const ScriptFile& file_;
  const RunOptions options_;
  RunControl& control_;
  const StepObserver& observer_;
  StepRunner runner_;
  Tally steps_;
  Tally cleanup_;
};

}  // namespace

absl::Status RunScript(const ScriptFile& file, const RunOptions& options,
                       MethodCaller call, RunControl& control,
                       const StepObserver& observer) {
  Run run(file, options, call, control, observer);
  run.RunSteps();
  run.RunCleanup();
  return run.ToStatus();
}

}  // namespace simvisor::client
