// Mistakes that one could make in the protocol of migrations.  They are made in
// what stands around the sessions and ledgers: in the peers of a simulation,
// and in what its machines do with messages.

#ifndef SIMVISOR_TESTS_SIMULATION_MISTAKES_H_
#define SIMVISOR_TESTS_SIMULATION_MISTAKES_H_

namespace simvisor::server {

enum class Mistake {
  kNone,
  // The target runs the domain once it has all of it.
  kRunsBeforeCommit,
  // A COMMIT that comes again ends whatever suspension the guest is in.
  kCommitsTwice,
  // A question is answered "dropped" before the copy is dropped.
  kAnswersBeforeDropping,
  // A question drops the copy, even one that was committed.
  kDropsAfterCommit,
  // A question without an answer counts as "never heard of it".
  kTakesSilenceForNo,
  // A link that breaks after COMMIT counts as "dropped", and nobody asks.
  kTakesBreakForNo,
  // COMMIT counts as COMMITTED once it has been sent.
  kTakesCommitForDone,
  // The source runs its copy on when it hears that the target committed.
  kRunsAfterMoved,
  // A committed arrival is forgotten at once, and denied.
  kForgetsTooEarly,
  // The answer is that of another migration.
  kAnswersForAnother,
  // A message of the last pages gets lost, and nobody notices.
  kLosesData,
};

inline constexpr Mistake kAllMistakes[] = {
    Mistake::kCommitsTwice,
    Mistake::kRunsBeforeCommit,
    Mistake::kAnswersBeforeDropping,
    Mistake::kDropsAfterCommit,
    Mistake::kTakesSilenceForNo,
    Mistake::kTakesBreakForNo,
    Mistake::kTakesCommitForDone,
    Mistake::kRunsAfterMoved,
    Mistake::kForgetsTooEarly,
    Mistake::kAnswersForAnother,
    Mistake::kLosesData,
};

inline const char* NameOf(Mistake mistake) {
  switch (mistake) {
    case Mistake::kNone:
      return "None";
    case Mistake::kRunsBeforeCommit:
      return "RunsBeforeCommit";
    case Mistake::kCommitsTwice:
      return "CommitsTwice";
    case Mistake::kAnswersBeforeDropping:
      return "AnswersBeforeDropping";
    case Mistake::kDropsAfterCommit:
      return "DropsAfterCommit";
    case Mistake::kTakesSilenceForNo:
      return "TakesSilenceForNo";
    case Mistake::kTakesBreakForNo:
      return "TakesBreakForNo";
    case Mistake::kTakesCommitForDone:
      return "TakesCommitForDone";
    case Mistake::kRunsAfterMoved:
      return "RunsAfterMoved";
    case Mistake::kForgetsTooEarly:
      return "ForgetsTooEarly";
    case Mistake::kAnswersForAnother:
      return "AnswersForAnother";
    case Mistake::kLosesData:
      return "LosesData";
  }
  return "?";
}

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SIMULATION_MISTAKES_H_
