// One RestoreDomain call.
//
// A message is read, its piece goes through the restorer elsewhere, then the
// next is read: a client that sends faster than pages are stored waits.  At any
// moment a job of the call is queued or runs, a read is in flight, or the call
// is finished, so members need no lock.  A client that sends nothing ends the
// call: see StallWatch, which has a job end it in place of the read in flight.
//
// Thread safety: as argued above.

#ifndef SIMVISOR_SERVER_IMAGES_RESTORE_CALL_H_
#define SIMVISOR_SERVER_IMAGES_RESTORE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "domain/image/image_restorer.h"
#include "domain/vm/domain.h"
#include "server/calls/call_limits.h"
#include "server/calls/call_record.h"
#include "server/calls/call_runner.h"
#include "server/calls/raw_message.h"
#include "server/calls/raw_service.h"
#include "server/calls/stall_timer.h"
#include "simvisor/v1/migration_service.pb.h"

namespace simvisor::server {

class RestoreCall : public RawReadReactor {
 public:
  using Reactor = RawReadReactor;

  RestoreCall(CallRunner* runner, const grpc::CallbackServerContext* context,
              grpc::ByteBuffer* out);

  void Start() { Read(); }

  void OnReadDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  // On the threads for images, but for the first read.
  void Read();
  void Take();
  void Complete();

  absl::Status TakePiece();
  absl::Status Restore();
  // Lets a restored domain go on.
  absl::Status GoOn(Domain& domain);
  void End(const absl::Status& status);

  CallRunner* const runner_;
  const CallLimits limits_;
  const CallRecord record_;
  StallWatch watch_;
  grpc::ByteBuffer read_;
  TakenMessage<v1::RestoreDomainRequest> request_;
  grpc::ByteBuffer* const out_;
  v1::RestoreDomainResponse response_;
  bool paused_ = false;
  std::string name_;  // by the caller's word; empty if the image names it
  std::unique_ptr<ImageRestorer> restorer_;  // null before the first message
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_IMAGES_RESTORE_CALL_H_
