// How the golden tests write the outcome of a call.
//
// Thread safety: pure functions and plain values.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_TEXT_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "base/error.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

// "OK" and the result, or "CODE REASON"; and the messages of all failures.
struct Outcome {
  std::string text;
  std::vector<std::string> messages;
};

// "FAILED_PRECONDITION DOMAIN_DYING".
inline std::string CodeAndReason(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ",
                      ReasonOf(status).value_or("(no reason)"));
}

inline Outcome Told(const absl::Status& status, absl::string_view ok = "") {
  if (status.ok()) return {absl::StrCat("OK", ok.empty() ? "" : " ", ok), {}};
  return {CodeAndReason(status), {std::string(status.message())}};
}
// `text` formats the value.
template <typename T, typename Text>
Outcome Told(const absl::StatusOr<T>& result, Text text) {
  return result.ok() ? Told(absl::OkStatus(), text(*result))
                     : Told(result.status());
}

inline std::string TextOf(PageCount pages) {
  return absl::StrCat(pages.value());
}
template <typename Number>
std::string NumberText(Number number) {
  return number.is_none() ? "none" : absl::StrFormat("0x%x", number.value());
}
// "[0x10, 0x20)".
template <typename Number>
std::string TextOf(const Extent<Number>& extent) {
  return absl::StrFormat("[0x%x, 0x%x)", extent.first.value(),
                         extent.end().value());
}
inline std::string TextOf(DomainState state) {
  switch (state) {
    case DomainState::kBuilt:
      return "BUILT";
    case DomainState::kRunning:
      return "RUNNING";
    case DomainState::kPaused:
      return "PAUSED";
    case DomainState::kDying:
      return "DYING";
  }
  return "?";
}
inline std::string TextOf(Handover handover) {
  switch (handover) {
    case Handover::kNone:
      return "no";
    case Handover::kOutgoing:
      return "outgoing";
    case Handover::kIncoming:
      return "incoming";
  }
  return "?";
}
inline std::string TextOf(BalloonState state) {
  switch (state) {
    case BalloonState::kNone:
      return "NONE";
    case BalloonState::kDone:
      return "DONE";
    case BalloonState::kAgain:
      return "AGAIN";
    case BalloonState::kCancelled:
      return "CANCELLED";
  }
  return "?";
}
inline std::string TextOf(const std::vector<P2mWord>& words) {
  std::string text;
  for (const P2mWord word : words) {
    absl::StrAppend(&text, text.empty() ? "" : " ", word.ToString());
  }
  return text;
}
inline std::string TextOf(const RangeChange& change) {
  return absl::StrFormat("marked %d, released %d, list pages %d",
                         change.marked.value(), change.released.value(),
                         change.p2m_pages.value());
}
// The outcome of a call's slots; lists those that failed one by one.
inline Outcome Told(const absl::Status& status, const ForeignReport& report) {
  std::string text = absl::StrFormat(
      "done %d, failed %d, list pages %d, freed %d", report.done, report.failed,
      report.p2m_pages.value(), report.freed.value());
  for (const SlotError& error : report.errors) {
    absl::StrAppend(&text, ", slot ", error.slot, " ",
                    CodeAndReason(error.status));
  }
  Outcome outcome = Told(status, text);
  if (!status.ok() && report.done > 0) {
    absl::StrAppend(&outcome.text, " after ", text);
  }
  for (const SlotError& error : report.errors) {
    outcome.messages.emplace_back(error.status.message());
  }
  return outcome;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_TEXT_H_
