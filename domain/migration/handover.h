// The protocol that decides which side runs a migrating domain, as two tables.
//
// Only the source runs the domain until it has said COMMIT.  After that it
// never runs the domain again, unless it learns that the target did not take
// it; the target runs it from COMMIT on.  So the right to run the domain
// changes hands at one moment, the arrival of COMMIT, and a broken link, a
// crash or a lost message cannot make two running copies.
//
//   source      what happens           becomes     the domain at the source
//   ----------  ---------------------  ----------  ------------------------
//   COPYING     all sent, PREPARED     COMMITTING  suspended; says COMMIT
//   COPYING     failed, cancelled      KEPT        runs; tells the target
//   COMMITTING  COMMITTED              MOVED       destroyed
//   COMMITTING  failed, cancelled      UNKNOWN     suspended; asks the target
//   UNKNOWN     "committed"            MOVED       destroyed
//   UNKNOWN     "dropped"              KEPT        runs
//   UNKNOWN     "never heard of it"    KEPT        runs (see below)
//   UNKNOWN     no answer              UNKNOWN     suspended; asks again
//   UNKNOWN     an operator: keep      KEPT        runs
//   UNKNOWN     an operator: drop      MOVED       destroyed
//
//   target      what happens           becomes     the domain at the target
//   ----------  ---------------------  ----------  ------------------------
//   RECEIVING   the stream has ended   PREPARED    complete, suspended
//   RECEIVING   the link breaks        DROPPED     nothing is left
//   RECEIVING   asked, told to drop    DROPPED     nothing is left
//   PREPARED    COMMIT                 COMMITTED   runs
//   PREPARED    the link breaks        PREPARED    suspended (see below)
//   PREPARED    asked                  DROPPED     nothing is left
//   PREPARED    an operator: keep      COMMITTED   runs
//   PREPARED    an operator: drop      DROPPED     nothing is left
//   COMMITTED   asked                  COMMITTED   runs; "committed"
//   DROPPED     asked                  DROPPED     "dropped"
//   DROPPED     COMMIT, end of stream  DROPPED     refused
//
// A target that does not know the id is a new daemon: the one told to commit
// has died, and its copy with it.  A target whose link breaks after PREPARED
// keeps its copy: the source may ask about it, and if the source is dead, it is
// the only copy.
//
// Asking means: drop the copy unless you have committed.  The answer is final,
// so the source may act on it.  A machine that dies takes its domains with it,
// as a real machine does.  If the source dies before PREPARED, the domain is
// lost; if it dies later, an operator can use the target's copy.  An operator
// who decides must know that the other copy is gone: a wrong decision is the
// only way to get two copies.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_MIGRATION_HANDOVER_H_
#define SIMVISOR_DOMAIN_MIGRATION_HANDOVER_H_

#include <optional>

namespace simvisor {

enum class SourceState { kCopying, kCommitting, kUnknown, kMoved, kKept };

enum class SourceEvent {
  kPrepared,  // PREPARED came
  kFailed,    // the link broke, a call failed, or the migration was cancelled
  // The target's answers to COMMIT or to a question.
  kCommitted,
  kDropped,
  kNeverHeardOf,
  // An operator decides.
  kKeep,
  kDrop,
};

// The state that follows `state` on `event`; nullopt if the table has no such
// line, and then nothing happens.
std::optional<SourceState> Next(SourceState state, SourceEvent event);

enum class TargetState { kReceiving, kPrepared, kCommitted, kDropped };

enum class TargetEvent {
  kArrived,  // the stream has ended, and the domain is complete
  kBroken,   // the link broke
  kCommit,   // COMMIT came
  kAsked,    // the source asks: drop it unless you have committed
  // An operator decides.
  kKeep,
  kDrop,
};

// The same for the target.
std::optional<TargetState> Next(TargetState state, TargetEvent event);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_MIGRATION_HANDOVER_H_
