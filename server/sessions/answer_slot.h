// The answer that a target owes on one stream.  Each answer counts once, and
// only after the message that asks for it has begun to leave.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_SESSIONS_ANSWER_SLOT_H_
#define SIMVISOR_SERVER_SESSIONS_ANSWER_SLOT_H_

#include "absl/status/status.h"
#include "server/sessions/messages.h"

namespace simvisor::server {

class AnswerSlot {
 public:
  // Sets the answer that must come next.  Call it right before the write that
  // asks for it.
  // REQUIRES: the previous answer was taken.
  void Expect(TargetAnswer answer);

  // Stores an answer that has arrived.  FAILED_PRECONDITION TARGET_MISBEHAVED
  // if it is not the expected one, which is not stored.
  absl::Status Put(TargetAnswer answer);

  // Whether the expected answer has arrived and is not yet taken.
  bool has_answer() const { return has_answer_; }
  // REQUIRES: has_answer().
  void Take();

 private:
  TargetAnswer expected_ = TargetAnswer::kNone;
  bool has_answer_ = false;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_ANSWER_SLOT_H_
