// The operations of vector files on the page directories of PAE guests.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_PAE_REPLAY_H_
#define SIMVISOR_TESTS_VECTORS_PAE_REPLAY_H_

#include "domain/units/abi.h"
#include "tests/vectors/operations.h"

namespace simvisor {

class PaeReplay {
 public:
  explicit PaeReplay(const Abi& abi) : abi_(abi) {}
  PaeReplay(const PaeReplay&) = delete;
  PaeReplay& operator=(const PaeReplay&) = delete;

  void AddTo(Operations& operations);

 private:
  Json PgdAlloc(const Json& step);
  Json PmdEntryFlags(const Json& step);
  Json PgdEntryFlags(const Json& step);
  Json PaeFrames(const Json& step);

  const Abi& abi_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_PAE_REPLAY_H_
