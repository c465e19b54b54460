#include "client/script/script_check.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <memory>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "client/api/text_check.h"
#include "client/script/field_path.h"
#include "client/script/step_call.h"
#include "client/script/variables.h"
#include "google/protobuf/message.h"

namespace simvisor::client {
namespace {

using google::protobuf::Message;
using Steps = google::protobuf::RepeatedPtrField<v1::Step>;

absl::Status Invalid(absl::string_view what, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", why));
}

absl::Status Missing(absl::string_view what) {
  return Invalid(what, "must be given");
}

bool IsCodeName(absl::string_view name) {
  // 16 is the last canonical code.
  for (int code = 1; code <= 16; ++code) {
    if (absl::StatusCodeToString(static_cast<absl::StatusCode>(code)) == name) {
      return true;
    }
  }
  return name.empty();
}

absl::Status CheckCall(const v1::Step& step) {
  if (step.call_case() == v1::Step::CALL_NOT_SET) {
    return absl::InvalidArgumentError("the step has no call");
  }
  const StepCall call(step);
  if (call.method() == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no service has a method that takes a ", call.request().GetTypeName()));
  }
  const absl::Status text = CheckStrings(call.request());
  return text.ok() ? text
                   : absl::InvalidArgumentError(
                         absl::StrCat("request.", text.message()));
}

absl::Status CheckExpectedError(const v1::Step& step) {
  if (!step.has_expect_error()) return absl::OkStatus();
  if (StepCall(step).expected() != nullptr) {
    return absl::InvalidArgumentError(
        "the step has expect and expect_error, and only one can hold");
  }
  if (!step.save().empty()) {
    return absl::InvalidArgumentError(
        "the step has expect_error and save, and an error has no fields to "
        "save");
  }
  if (!IsCodeName(step.expect_error().code())) {
    return absl::InvalidArgumentError(
        absl::StrCat("expect_error.code: '", step.expect_error().code(),
                     "' is not a canonical code, such as NOT_FOUND"));
  }
  return absl::OkStatus();
}

absl::Status CheckPoll(const v1::Step& step) {
  if (!step.has_poll()) return absl::OkStatus();
  const uint32_t timeout = step.poll().timeout_ms();
  // Absent, or 0.
  if (timeout == 0) {
    return Invalid(
        "poll.timeout_ms",
        absl::StrCat("must be given, 1 to ", kMaxPollTimeoutMs, " (a day)"));
  }
  if (timeout > kMaxPollTimeoutMs) {
    return Invalid("poll.timeout_ms",
                   absl::StrCat(timeout, " is not between 1 and ",
                                kMaxPollTimeoutMs, " (a day)"));
  }
  const uint32_t interval = step.poll().interval_ms();
  if (interval == 0) return absl::OkStatus();
  if (interval < kMinPollIntervalMs || interval > kMaxPollIntervalMs) {
    return Invalid("poll.interval_ms",
                   absl::StrCat(interval, " is not between ",
                                kMinPollIntervalMs, " and ", kMaxPollIntervalMs,
                                ", or 0 for ", kDefaultPollIntervalMs));
  }
  if (interval > timeout) {
    return Invalid("poll.interval_ms",
                   absl::StrCat(interval, " is more than timeout_ms, ", timeout,
                                ", and would allow only one call"));
  }
  return absl::OkStatus();
}

struct Definition {
  StepPlace place;
  // nullopt if the path of the field is wrong.
  std::optional<ValueType> type;
};

// The variables of a script, and the steps that use them.
class VariablesCheck {
 public:
  // `unread` and `report` must outlive this object.
  VariablesCheck(
      const v1::Script& script, const UnreadSteps& unread,
      absl::FunctionRef<void(const StepPlace&, const absl::Status&)> report)
      : script_(script), unread_(unread), report_(report) {}

  // Checks `save` of a step, and remembers what it defines; called for all
  // steps first.  Without a call, no path is known.
  void Define(const v1::Step& step, const StepPlace& place, bool has_call) {
    for (const v1::SavedField& saved : step.save()) {
      std::optional<ValueType> type;
      if (has_call) {
        const auto found = TypeOf(step, saved);
        report_(place, found.status());
        if (found.ok()) type = *found;
      }
      report_(place, DefineOne(saved.name(), {place, type}));
    }
  }

  // Checks what a step takes from variables.
  // REQUIRES: the step has a call.
  void CheckUses(const v1::Step& step, const StepPlace& place) const {
    std::set<std::string> names;
    report_(place, FindUses(step, names));
    for (const std::string& name : names) {
      // CheckSets() asks for a name.
      if (!name.empty()) report_(place, CheckUse(name, place));
    }
    CheckStringUses(step, place);
    CheckSets(step, place);
  }

 private:
  static absl::StatusOr<ValueType> TypeOf(const v1::Step& step,
                                          const v1::SavedField& saved) {
    if (saved.field().empty()) return Missing("save.field");
    const auto response = StepCall(step).NewResponse();
    const auto path =
        FieldPath::Parse(*response->GetDescriptor(), saved.field());
    if (path.ok()) return path->type();
    return Invalid(absl::StrCat("save.field ", Quoted(saved.field())),
                   path.status().message());
  }

  absl::Status DefineOne(const std::string& name,
                         const Definition& definition) {
    if (name.empty()) return Missing("save.name");
    if (!IsVariableName(name)) {
      return Invalid("save.name",
                     absl::StrCat(Quoted(name),
                                  " is not a letter or '_', then letters, "
                                  "digits and '_', at most ",
                                  kMaxVariableName));
    }
    const auto [at, is_new] = definitions_.insert({name, definition});
    if (is_new) return absl::OkStatus();
    return Invalid("save.name",
                   absl::StrCat(at->second.place.ToString(), " saves ", name,
                                " already; take another name"));
  }

  absl::Status CheckUse(const std::string& name, const StepPlace& place) const {
    const auto at = definitions_.find(name);
    if (at == definitions_.end()) {
      if (unread_.names.contains(name)) return absl::OkStatus();
      return Invalid(absl::StrCat("${", name, "}"),
                     "no step saves this variable");
    }
    if (OrderOf(at->second.place) >= OrderOf(place)) {
      return Invalid(absl::StrCat("${", name, "}"),
                     absl::StrCat(at->second.place.ToString(),
                                  " saves it, which is not before this one"));
    }
    return absl::OkStatus();
  }

  // nullopt if it is not known.
  std::optional<ValueType> TypeOf(const std::string& name) const {
    const auto at = definitions_.find(name);
    return at == definitions_.end() ? std::nullopt : at->second.type;
  }

  void CheckStringUses(const v1::Step& step, const StepPlace& place) const {
    std::set<std::string> names;
    // CheckUses() has reported its error.
    FindVariables(StepCall(step).call(), names).IgnoreError();
    for (const std::string& name : names) {
      const auto type = TypeOf(name);
      if (!type || type->kind != ValueKind::kBytes) continue;
      report_(place, Invalid(absl::StrCat("${", name, "}"),
                             "it holds bytes, which a string cannot; use set"));
    }
  }

  void CheckSets(const v1::Step& step, const StepPlace& place) const {
    const StepCall call(step);
    const std::unique_ptr<Message> scratch(call.call().New());
    scratch->CopyFrom(call.call());
    std::set<std::string> fields;
    for (const v1::SetField& set : step.set()) {
      if (set.variable().empty()) report_(place, Missing("set.variable"));
      if (set.field().empty()) {
        report_(place, Missing("set.field"));
        continue;
      }
      absl::Status checked = CheckSet(step, set, *scratch);
      if (checked.ok() && !fields.insert(set.field()).second) {
        checked = absl::InvalidArgumentError("it is set twice");
      }
      if (checked.ok()) continue;
      report_(place, Invalid(absl::StrCat("set.field ", Quoted(set.field())),
                             checked.message()));
    }
  }

  absl::Status CheckSet(const v1::Step& step, const v1::SetField& set,
                        Message& scratch) const {
    const bool request = absl::StartsWith(set.field(), kRequestPrefix);
    if (!request && !absl::StartsWith(set.field(), kExpectPrefix)) {
      return absl::InvalidArgumentError(
          "the path must begin with 'request.' or 'expect.'");
    }
    if (!request && step.has_expect_error()) {
      return absl::InvalidArgumentError(
          "the step has expect_error, so there will be no response");
    }
    SIMVISOR_ASSIGN_OR_RETURN(
        const FieldPath path,
        FieldPath::Parse(*scratch.GetDescriptor(), set.field()));
    const auto type = TypeOf(set.variable());
    if (type && !(*type == path.type())) {
      return absl::InvalidArgumentError(
          absl::StrCat("it is ", NameOf(path.type()), ", and ", set.variable(),
                       " is ", NameOf(*type)));
    }
    return request ? path.TryWrite(scratch) : absl::OkStatus();
  }

  int OrderOf(const StepPlace& place) const {
    return place.index + (place.cleanup ? script_.steps_size() : 0);
  }

  const v1::Script& script_;
  const UnreadSteps& unread_;
  const absl::FunctionRef<void(const StepPlace&, const absl::Status&)> report_;
  std::map<std::string, Definition> definitions_;
};

struct PlacedStep {
  StepPlace place;
  const v1::Step* step;
};

std::vector<PlacedStep> AllSteps(const v1::Script& script) {
  std::vector<PlacedStep> steps;
  steps.reserve(script.steps_size() + script.cleanup_size());
  for (int i = 0; i < script.steps_size(); ++i) {
    steps.push_back({{.cleanup = false, .index = i}, &script.steps(i)});
  }
  for (int i = 0; i < script.cleanup_size(); ++i) {
    steps.push_back({{.cleanup = true, .index = i}, &script.cleanup(i)});
  }
  return steps;
}

}  // namespace

absl::Duration IntervalOf(const v1::Poll& poll) {
  if (poll.interval_ms() > 0) return absl::Milliseconds(poll.interval_ms());
  return absl::Milliseconds(
      std::min(kDefaultPollIntervalMs, poll.timeout_ms()));
}

std::string StepPlace::ToString() const {
  return absl::StrCat(cleanup ? "cleanup step " : "step ", index + 1);
}

std::vector<ScriptFault> FindScriptFaults(const v1::Script& script,
                                          const UnreadSteps& unread) {
  std::vector<ScriptFault> faults;
  const auto report = [&](const StepPlace& place, const absl::Status& status) {
    if (status.ok()) return;
    faults.push_back({place, std::string(status.message())});
  };
  VariablesCheck variables(script, unread, report);
  std::vector<PlacedStep> with_call;
  for (const PlacedStep& one : AllSteps(script)) {
    if (unread.Has(one.place)) continue;
    const absl::Status call = CheckCall(*one.step);
    report(one.place, call);
    report(one.place, CheckPoll(*one.step));
    variables.Define(*one.step, one.place, call.ok());
    if (!call.ok()) continue;
    report(one.place, CheckExpectedError(*one.step));
    with_call.push_back(one);
  }
  for (const PlacedStep& one : with_call) {
    variables.CheckUses(*one.step, one.place);
  }
  return faults;
}

absl::Status FindUses(const v1::Step& step, std::set<std::string>& names) {
  for (const v1::SetField& set : step.set()) names.insert(set.variable());
  return FindVariables(StepCall(step).call(), names);
}

StepPlace FindSaver(const v1::Script& script, absl::string_view variable) {
  for (const PlacedStep& one : AllSteps(script)) {
    if (absl::c_any_of(one.step->save(), [&](const v1::SavedField& saved) {
          return saved.name() == variable;
        })) {
      return one.place;
    }
  }
  assert(false);
  return {};
}

}  // namespace simvisor::client
