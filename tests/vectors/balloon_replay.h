// The operations of vector files on parts of a balloon driver: its policy,
// wake-up by wake-up, and the order of its list.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_BALLOON_REPLAY_H_
#define SIMVISOR_TESTS_VECTORS_BALLOON_REPLAY_H_

#include <optional>
#include <string>
#include <utility>

#include "domain/balloon/balloon_list.h"
#include "domain/guest/free_pages.h"
#include "domain/units/abi.h"
#include "tests/support/counted_driver.h"
#include "tests/vectors/operations.h"

namespace simvisor {

class BalloonReplay {
 public:
  explicit BalloonReplay(const Abi& abi) : abi_(abi), driver_(abi) {}
  BalloonReplay(const BalloonReplay&) = delete;
  BalloonReplay& operator=(const BalloonReplay&) = delete;

  void AddTo(Operations& operations);

 private:
  Json Balloon(const Json& step);
  Json Target(const Json& step);
  Json Wake(const Json& step);
  Json BalloonListOp(const Json& step);
  Json BalloonTo(const Json& step);

  // The list from its head on: [first, last] of each ascending or descending
  // run.
  Json Runs() const;

  const Abi& abi_;
  CountedDriver driver_;
  BalloonList balloon_;
  std::optional<FreePages> free_{std::in_place};
};

// Before its first round a driver is in the same state as after a completed
// one.
std::string StateName(BalloonState state);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_BALLOON_REPLAY_H_
