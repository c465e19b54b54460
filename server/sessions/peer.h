// The target daemon of a migration, as the source sees it.
//
// Sessions use a peer only through these interfaces, so tests can run two
// machines in one process.
//
// Thread safety: as each class says.

#ifndef SIMVISOR_SERVER_SESSIONS_PEER_H_
#define SIMVISOR_SERVER_SESSIONS_PEER_H_

#include <functional>
#include <map>
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

// How a call to a peer ended.
struct PeerStatus {
  absl::StatusCode code = absl::StatusCode::kOk;
  // The reason the peer gave, if it ended the call; INTERNAL for a reason that
  // this daemon does not know.
  std::optional<Reason> reason;
  std::string text;  // from the peer or the connection; not printable
  std::map<std::string, std::string> facts;  // the peer's; not printable
};

// Converts the peer's status, with its reason and those facts that have a name
// of fact::kAll; a failure of the connection
// becomes Unreachable().  `operation` begins the message.
absl::Status FromPeer(const PeerStatus& status, absl::string_view operation,
                      absl::string_view address);

// UNAVAILABLE TARGET_UNREACHABLE, with the same message for every cause, so
// that a client cannot use it to probe an address; `cause` goes to the log.
absl::Status Unreachable(absl::string_view operation, absl::string_view address,
                         absl::string_view cause);

// The target's answer to a question about a migration.
struct QuestionAnswer {
  PeerStatus status;
  // If `status` is OK: the migration that the answer is about, and its state,
  // which may be nullopt if it is not final.
  std::string id;
  std::optional<TargetState> state;
};
// What the answer means for the source.  An error unless it is a final answer
// about migration `asked`: the source acts on it.
absl::StatusOr<SourceEvent> EventOf(const QuestionAnswer& answer,
                                    absl::string_view asked,
                                    absl::string_view address);

// The source's end of one migration's stream.
//
// Every wait is bounded.  An answer that comes early, late or twice
// (TARGET_MISBEHAVED) ends the stream, and so does a wait that lasts too long
// (CALL_STALLED); see fault().
//
// Thread safety: thread-compatible; Cancel() may be called from any thread.
class PeerStream {
 public:
  virtual ~PeerStream() = default;

  // Calls the target.  Call it once, before everything except Cancel().
  virtual void Open() = 0;
  // See AnswerSlot::Expect().
  virtual void Expect(TargetAnswer answer) = 0;
  // Waits until the previous message has left, then sends `message`, and may
  // return before it has left.  Keeps no pointer into `message`.  False if the
  // stream has ended.
  virtual bool Write(const SourceMessage& message) = 0;
  // Waits until the last message has left.  False if the stream has ended.
  virtual bool Flush() = 0;
  // Waits for the expected answer.  An answer that came counts even if the
  // stream has ended since, unless fault() is set.  False if the stream has
  // ended without one.
  virtual bool Read(TargetMessage& message) = 0;
  // Ends the call and returns how it ended; nothing can be sent afterwards.
  // Waits at most `patience` for the target to end it, then cancels it.
  // REQUIRES: opened, not ended.
  virtual PeerStatus End(Clock::Time::duration patience) = 0;
  // Makes the current wait and later ones end; may be called before Open().
  virtual void Cancel() = 0;
  // Why this end gave the stream up; OK if it did not.
  virtual absl::Status fault() const = 0;
};

// One question to a target: it drops the migration unless it has committed it.
//
// Thread safety: thread-safe.
class PeerQuestion {
 public:
  // Receives the answer, or why there is none.
  using Done = std::function<void(absl::StatusOr<SourceEvent>)>;

  virtual ~PeerQuestion() = default;

  // Asks; call it once.  `done` is called once, within a few seconds, on any
  // thread; this object may be destroyed after that.
  virtual void Ask(Done done) = 0;
  // Has `done` called soon, but not from within this call; may be called before
  // Ask().
  virtual void Cancel() = 0;
};

// Thread safety: thread-safe.
class Peer {
 public:
  virtual ~Peer() = default;

  // The same text for the same daemon.
  virtual std::string address() const = 0;
  virtual std::unique_ptr<PeerStream> MakeStream() const = 0;
  virtual std::shared_ptr<PeerQuestion> MakeQuestion(
      absl::string_view migration_id) const = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_PEER_H_
