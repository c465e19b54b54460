// Who runs a domain that moves from one daemon to another: the protocol, as two
// tables.
//
// The source is the only one to run a domain until it has said COMMIT, and
// never runs it again after it has, unless it learns that the target did not
// take it; the target runs it from COMMIT on.  So there is one moment, the
// arrival of COMMIT, in which the right to run it changes hands, and nothing
// that breaks, dies or is lost can make two of it.
//
//   source      what happens           becomes     the domain at the source
//   ----------  ---------------------  ----------  ------------------------
//   COPYING     all sent, PREPARED     COMMITTING  suspended; says COMMIT
//   COPYING     failed, cancelled      KEPT        runs; tells the target
//   COMMITTING  COMMITTED              MOVED       goes
//   COMMITTING  failed, cancelled      UNKNOWN     suspended; asks the target
//   UNKNOWN     "committed"            MOVED       goes
//   UNKNOWN     "dropped"              KEPT        runs
//   UNKNOWN     "never heard of it"    KEPT        runs (see below)
//   UNKNOWN     no answer              UNKNOWN     suspended; asks again
//   UNKNOWN     an operator: keep      KEPT        runs
//   UNKNOWN     an operator: drop      MOVED       goes
//
//   target      what happens           becomes     the domain at the target
//   ----------  ---------------------  ----------  ------------------------
//   RECEIVING   the stream has ended   PREPARED    whole, suspended
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
// A target that has never heard of it is another one than that which was told
// to commit, started since: what the first one had went with it.  A target
// whose link breaks after PREPARED keeps its copy: the source may ask for it,
// and if the source is dead, it is the only one.
//
// Asking means: drop it unless you have committed.  Its answer is final, so the
// source may act on it.  A machine that dies takes its domains with it, as a
// real one does; if that is the source's before PREPARED, the domain is lost
// with it, and if it is later, the target's copy is there for an operator.  An
// operator who decides must know that the other copy is gone: this is the one
// way to get two.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_MIGRATION_HANDOVER_H_
#define SIMVISOR_DOMAIN_MIGRATION_HANDOVER_H_

#include <optional>

namespace simvisor {

enum class SourceState { kCopying, kCommitting, kUnknown, kMoved, kKept };

enum class SourceEvent {
  kPrepared,  // PREPARED came
  kFailed,    // the link broke, a call failed, somebody cancelled
  // What the target answers: to COMMIT, or when asked.
  kCommitted,
  kDropped,
  kNeverHeardOf,
  // An operator.
  kKeep,
  kDrop,
};

// What `event` makes of `state`; nullopt if the table has no such line, and
// then nothing happens.
std::optional<SourceState> Next(SourceState state, SourceEvent event);

enum class TargetState { kReceiving, kPrepared, kCommitted, kDropped };

enum class TargetEvent {
  kArrived,  // the stream has ended, and the domain is whole
  kBroken,   // the link broke
  kCommit,   // COMMIT came
  kAsked,    // the source asks: drop it unless you have committed
  // An operator.
  kKeep,
  kDrop,
};

// The same for the target.
std::optional<TargetState> Next(TargetState state, TargetEvent event);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_MIGRATION_HANDOVER_H_
