// The operations of vector files on the table of one-bit CPU masks.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_VECTORS_CPU_MASK_REPLAY_H_
#define SIMVISOR_TESTS_VECTORS_CPU_MASK_REPLAY_H_

#include "tests/vectors/operations.h"

namespace simvisor {

class CpuMaskReplay {
 public:
  void AddTo(Operations& operations);

 private:
  Json CpuMask(const Json& step);
  Json CpuMaskWindow(const Json& step);
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_VECTORS_CPU_MASK_REPLAY_H_
