// Loads a daemon with messages of operations through StreamMemoryOps: a given
// number in all, on one stream, with a few in flight.
//
// One thread writes and reads through a completion queue, like the clients of
// load.h and for the same reason.
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
  // Operations per message; 0 for messages that do nothing.
  uint64_t batch = 0;
  // Turns the previous message into message number i; not called if `batch` is
  // 0.
  std::function<void(uint64_t, v1::StreamMemoryOpsRequest&)> fill;
  // Checks a result that is not an error.
  std::function<absl::Status(const v1::MemoryOpResult&)> take;
};

// Runs `load` and returns messages per second.  Excludes opening and ending the
// stream.  Returns the error of the stream or of the first operation that
// failed.
absl::StatusOr<double> RunOps(const std::shared_ptr<grpc::Channel>& channel,
                              const OpsLoad& load);

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_OPS_STREAM_H_
