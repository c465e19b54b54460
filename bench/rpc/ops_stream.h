// Puts messages of operations on a daemon through StreamMemoryOps: so many in
// all, on one stream, with a few under way.
//
// One thread writes and reads by a completion queue, as the clients of load.h
// do, and for the same reason.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_OPS_STREAM_H_
#define SIMVISOR_BENCH_RPC_OPS_STREAM_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "simvisor/v1/memory_ops.pb.h"

namespace simvisor::bench {

struct OpsLoad {
  uint64_t messages = 0;
  // Operations of each message; 0 for messages that do nothing.
  uint64_t batch = 0;
  // Makes message number i out of the one before; not called if there are no
  // operations.
  std::function<void(uint64_t, v1::StreamMemoryOpsRequest&)> fill;
  // Looks at a result that is no error.
  std::function<absl::Status(const v1::MemoryOpResult&)> take;
};

// Runs `load` and returns messages in a second.  Opening the stream and ending
// it do not count.  The error is that of the stream or of the first operation
// that failed.
absl::StatusOr<double> RunOps(const std::shared_ptr<grpc::Channel>& channel,
                              const OpsLoad& load);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_OPS_STREAM_H_
