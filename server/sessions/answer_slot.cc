#include "server/sessions/answer_slot.h"

#include <cassert>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/error.h"

namespace simvisor::server {
namespace {

absl::string_view NameOfAnswer(TargetAnswer answer) {
  switch (answer) {
    case TargetAnswer::kAdmitted:
      return "ADMITTED";
    case TargetAnswer::kPrepared:
      return "PREPARED";
    case TargetAnswer::kCommitted:
      return "COMMITTED";
    case TargetAnswer::kNone:
      break;
  }
  return "nothing";
}

}  // namespace

void AnswerSlot::Expect(TargetAnswer answer) {
  assert(!has_answer_);
  expected_ = answer;
}

absl::Status AnswerSlot::Put(TargetAnswer answer) {
  if (answer == TargetAnswer::kNone || answer != expected_) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kTargetMisbehaved,
        absl::StrCat("the target answered ", NameOfAnswer(answer), " where ",
                     NameOfAnswer(expected_), " was due"));
  }
  expected_ = TargetAnswer::kNone;
  has_answer_ = true;
  return absl::OkStatus();
}

void AnswerSlot::Take() {
  assert(has_answer_);
  has_answer_ = false;
}

}  // namespace simvisor::server
