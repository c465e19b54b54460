// Mistakes that an implementation of the migration protocol could make.  They
// are made around the sessions and ledgers: in the peers of a simulation, and
// in how its machines handle messages.

#ifndef SIMVISOR_TESTS_SIMULATION_MISTAKES_H_
#define SIMVISOR_TESTS_SIMULATION_MISTAKES_H_

namespace simvisor::server {

enum class Mistake {
  kNone,
  // The target runs the domain as soon as it is complete.
  kRunsBeforeCommit,
  // A repeated COMMIT resumes the guest, whatever suspended it.
  kCommitsTwice,
  // The target answers "dropped" before it drops the copy.
  kAnswersBeforeDropping,
  // A question drops the copy even if it was committed.
  kDropsAfterCommit,
  // A question without an answer is taken for "never heard of it".
  kTakesSilenceForNo,
  // A link that breaks after COMMIT is taken for "dropped", without asking.
  kTakesBreakForNo,
  // COMMIT is taken for COMMITTED once it has been sent.
  kTakesCommitForDone,
  // The source resumes its copy when the target answers "committed".
  kRunsAfterMoved,
  // The target forgets a committed migration at once and denies it.
  kForgetsTooEarly,
  // The target answers with the state of another migration.
  kAnswersForAnother,
  // A message with pages is lost without an error.
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
