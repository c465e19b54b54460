// One StreamMemoryOps call, opened by Client::StreamMemoryOps().
//
// A caller that writes much must read at the same time; see the method's
// contract.
//
// Thread safety: one thread may write while another one reads.

#ifndef SIMVISOR_CLIENT_API_MEMORY_OPS_STREAM_H_
#define SIMVISOR_CLIENT_API_MEMORY_OPS_STREAM_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "simvisor/v1/memory_service.pb.h"

namespace grpc {  // NOLINT(readability-identifier-naming): gRPC's
class Channel;
}  // namespace grpc

namespace simvisor::client {

// Called with a response before its reader sees it.
using ResponseHook = std::function<void(google::protobuf::Message&)>;

class MemoryOpsStream {
 public:
  // Opens a call.  `address` is used only in messages, and `on_response` may be
  // empty; both must outlive the stream.
  MemoryOpsStream(const std::shared_ptr<grpc::Channel>& channel,
                  const std::string& address,
                  std::optional<absl::Duration> timeout,
                  const ResponseHook& on_response);
  MemoryOpsStream(const MemoryOpsStream&) = delete;
  MemoryOpsStream& operator=(const MemoryOpsStream&) = delete;
  ~MemoryOpsStream();

  // Sends operations.  False if the call is over; Finish() says why.
  bool Write(const v1::StreamMemoryOpsRequest& request);
  // Declares that no more operations come.  Call once.
  void WritesDone();

  // Waits for results.  False if no more results come.
  bool Read(v1::StreamMemoryOpsResponse* response);

  // Returns how the call ended.  Call once, last, after Read() has returned
  // false.
  absl::Status Finish();

 private:
  struct OpenCall;

  const std::string& address_;
  const ResponseHook& on_response_;
  const std::unique_ptr<OpenCall> call_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_MEMORY_OPS_STREAM_H_
