// The operations of vector files on whole guests and their balloon drivers.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_GUEST_REPLAY_H_
#define SIMVISOR_TESTS_VECTORS_GUEST_REPLAY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "domain/units/abi.h"
#include "tests/support/balloon_guest.h"
#include "tests/vectors/operations.h"

namespace simvisor {

class GuestReplay {
 public:
  explicit GuestReplay(const Abi& abi) : abi_(abi) {}
  GuestReplay(const GuestReplay&) = delete;
  GuestReplay& operator=(const GuestReplay&) = delete;

  void AddTo(Operations& operations);

 private:
  Json DomainOp(const Json& step);
  Json HostFree(const Json& step);
  Json SetTarget(const Json& step);
  Json Timer(const Json& step);
  Json Pause(const Json& step);
  Json Unpause(const Json& step);
  Json MapBallooned(const Json& step);
  Json UnmapBallooned(const Json& step);

  // Makes the guest do something; returns what is visible of its driver
  // afterwards.
  Json Do(absl::FunctionRef<void(BalloonGuest&)> call);

  const Abi& abi_;
  std::unique_ptr<BalloonGuest> guest_;
  // From this target on, the guest gets to the same size as the file's guest.
  uint64_t least_target_ = 0;
  std::vector<uint64_t> lent_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_GUEST_REPLAY_H_
