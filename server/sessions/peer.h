// The daemon at the other end of a migration, as its source sees it.
//
// Sessions know a peer by these interfaces only, so that two machines can stand
// in one process.
//
// Thread safety: as each class says.

#ifndef SIMVISOR_SERVER_SESSIONS_PEER_H_
#define SIMVISOR_SERVER_SESSIONS_PEER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/error.h"
#include "domain/migration/handover.h"
#include "server/sessions/messages.h"
#include "server/threads/clock.h"

namespace simvisor::server {

// How a call to a peer has ended.
struct PeerStatus {
  absl::StatusCode code = absl::StatusCode::kOk;
  // Why, if it was the peer that ended it and said so; INTERNAL for a reason
  // that is not known here.
  std::optional<Reason> reason;
  std::string text;  // of the peer or the connection; not fit for a terminal
};

// A status of the peer's, with its reason, or of the connection to it, which
// becomes Unreachable().  `operation` begins the message.
absl::Status FromPeer(const PeerStatus& status, absl::string_view operation,
                      absl::string_view address);

// UNAVAILABLE TARGET_UNREACHABLE, the same whatever the cause is, so that
// nobody learns from it what there is at an address; `cause` goes to the log.
absl::Status Unreachable(absl::string_view operation, absl::string_view address,
                         absl::string_view cause);

// What the target answered to the question about migration `asked`.
struct QuestionAnswer {
  PeerStatus status;
  // If that is OK: the migration that the answer is about, and its state;
  // nullopt for one that is not a target's.
  std::string id;
  std::optional<TargetState> state;
};
// What that means for the source.  An error if it is no final answer about this
// migration: the domain's fate hangs on it.
absl::StatusOr<SourceEvent> EventOf(const QuestionAnswer& answer,
                                    absl::string_view asked,
                                    absl::string_view address);

// The stream of one migration to its target, for the thread that drives it.
//
// Every wait is bounded.  An answer that is early, late or twice
// (TARGET_MISBEHAVED), and a wait that lasts too long (CALL_STALLED), end the
// stream; see fault().
//
// Thread safety: one thread drives it; Cancel() is for any.
class PeerStream {
 public:
  virtual ~PeerStream() = default;

  // Calls the target; once, before all else but Cancel().
  virtual void Open() = 0;
  // See AnswerSlot::Expect().
  virtual void Expect(TargetAnswer answer) = 0;
  // Sends `message`, of which it keeps nothing, once the one before has left;
  // may return before this one has.  False if the stream has ended.
  virtual bool Write(const SourceMessage& message) = 0;
  // Waits until the last message has left.  False if the stream has ended.
  virtual bool Flush() = 0;
  // Waits for the answer that is expected.  One that came counts, even if the
  // stream has ended since.  False if the stream has ended without.
  virtual bool Read(TargetMessage& message) = 0;
  // Ends the call, and says how it ended; nothing can be sent afterwards.
  // Waits at most `patience` for the target to end it, then cancels.
  // REQUIRES: opened, not ended.
  virtual PeerStatus End(Clock::Time::duration patience) = 0;
  // Ends whatever it waits for; also before Open().
  virtual void Cancel() = 0;
  // Why this end has given the stream up; OK if it has not.
  virtual absl::Status fault() const = 0;
};

// One question to a target: to drop a migration unless it has committed it.
//
// Thread safety: thread-safe.
class PeerQuestion {
 public:
  // What it answers, or why there is no answer.
  using Done = std::function<void(absl::StatusOr<SourceEvent>)>;

  virtual ~PeerQuestion() = default;

  // Asks, once.  `done` is called once, within a few seconds, on any thread,
  // after which this object may be gone.
  virtual void Ask(Done done) = 0;
  // Makes `done` come soon, though not before this returns; may be called
  // before Ask().
  virtual void Cancel() = 0;
};

// Thread safety: thread-safe.
class Peer {
 public:
  virtual ~Peer() = default;

  // One text for each daemon.
  virtual std::string address() const = 0;
  virtual std::unique_ptr<PeerStream> MakeStream() const = 0;
  virtual std::shared_ptr<PeerQuestion> MakeQuestion(
      absl::string_view migration_id) const = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_PEER_H_
