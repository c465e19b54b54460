// Mistakes that a test build can make on purpose, to prove that the tests would
// see them.
//
// In every other build IsSeeded() is false when the program is compiled, so a
// mistake costs nothing.  tests/domain/smmu/explorer compiles this library with
// SIMVISOR_SEEDED_MISTAKES and makes one mistake at a time.
//
// Thread safety: the mistake is chosen before threads use the library.

#ifndef SIMVISOR_DOMAIN_SMMU_SEEDED_MISTAKES_H_
#define SIMVISOR_DOMAIN_SMMU_SEEDED_MISTAKES_H_

namespace simvisor {

enum class SeededMistake {
  kNone,
  kFreeBeforeAck,        // answers that are pending count as given
  kUnmatchedEnd,         // who hears of a close is decided at the close
  kPriorityLane,         // a begin overtakes messages that wait
  kRenewWhileUnacked,    // a lease grows while an answer is owed
  kProtectThenSwap,      // the log is taken after its pages are protected
  kInstallAfterLeaving,  // a client that has left installs what comes late
  kSeqAfterActive,       // a close counts in seq only when the next one opens
  kBeginWithoutCounter,  // an open range is not counted as active
  kNoRetryOnSeq,         // a commit looks only at ranges that are open
  kRecordKeptAfterAck,   // an acknowledgement leaves the records
  kDrainSkipped,         // a claim on everything waits for no earlier claim
  kClaimOvertakes,       // a claim waits only for claims that are admitted
  kFenceKeepsRecords,    // a fence leaves the records
};

#ifdef SIMVISOR_SEEDED_MISTAKES
inline SeededMistake seeded_mistake = SeededMistake::kNone;
inline bool IsSeeded(SeededMistake mistake) {
  return seeded_mistake == mistake;
}
#else
constexpr bool IsSeeded(SeededMistake) { return false; }
#endif

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_SMMU_SEEDED_MISTAKES_H_
