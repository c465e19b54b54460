// Which answer a target owes on one stream: each counts once, and only after
// what it answers has begun to leave.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_SESSIONS_ANSWER_SLOT_H_
#define SIMVISOR_SERVER_SESSIONS_ANSWER_SLOT_H_

#include "absl/status/status.h"
#include "server/sessions/messages.h"

namespace simvisor::server {

class AnswerSlot {
 public:
  // The next answer must be this one: called right before the write that asks
  // for it.
  // REQUIRES: the answer before was taken.
  void Expect(TargetAnswer answer);

  // Notes an answer that has come.  FAILED_PRECONDITION TARGET_MISBEHAVED,
  // without noting it, for one that is not expected.
  absl::Status Put(TargetAnswer answer);

  // Whether the answer that was expected has come and is not taken yet.
  bool has_answer() const { return has_answer_; }
  // REQUIRES: has_answer().
  void Take();

 private:
  TargetAnswer expected_ = TargetAnswer::kNone;
  bool has_answer_ = false;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_ANSWER_SLOT_H_
