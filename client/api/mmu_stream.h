// One Subscribe call of SecondaryMmuService, opened by Client::SubscribeMmu().
//
// Thread safety: one thread may write while another one reads, and any thread
// may cancel.

#ifndef SIMVISOR_CLIENT_API_MMU_STREAM_H_
#define SIMVISOR_CLIENT_API_MMU_STREAM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/api/memory_ops_stream.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

namespace simvisor::client {

// The number of the request that a message answers; 0 if it answers none.
uint64_t AnsweredRequest(const v1::SubscribeResponse& message);

class MmuStream {
 public:
  // Opens a call.  `address` is used only in messages, and `on_response` may be
  // empty; both must outlive the stream.
  MmuStream(const std::shared_ptr<grpc::Channel>& channel,
            const std::string& address, const ResponseHook& on_response);
  MmuStream(const MmuStream&) = delete;
  MmuStream& operator=(const MmuStream&) = delete;
  ~MmuStream();

  // Sends a message.  False if the call is over; Finish() says why.
  bool Write(const v1::SubscribeRequest& request);

  // Waits for a message.  False if no more come.
  bool Read(v1::SubscribeResponse* response);

  // Breaks the stream: Read() and Write() return false soon.
  void Cancel();

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

#endif  // SIMVISOR_CLIENT_API_MMU_STREAM_H_
