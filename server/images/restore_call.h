// One RestoreDomain call.
//
// Reads a message, passes its piece to the restorer on the threads for images,
// then reads the next message: a client that sends faster than pages are stored
// has to wait.
//
// Thread safety: as PooledReactor.

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
#include "server/calls/call_runner.h"
#include "server/calls/pooled_reactor.h"
#include "server/calls/raw_message.h"
#include "simvisor/v1/migration_service.pb.h"

namespace simvisor::server {

class RestoreCall : public PooledReactor<RawReadReactor> {
 public:
  RestoreCall(CallRunner* runner, grpc::CallbackServerContext* context,
              grpc::ByteBuffer* out);

 private:
  void Take() override;
  // The stream has ended: completes the restore.
  void Break() override;
  void End(const absl::Status& status) override;

  absl::Status TakePiece();
  absl::Status Restore();
  // Resumes a restored domain.
  absl::Status GoOn(Domain& domain);

  TakenMessage<v1::RestoreDomainRequest> request_;
  grpc::ByteBuffer* const out_;
  v1::RestoreDomainResponse response_;
  bool paused_ = false;
  std::string name_;  // given by the caller; empty if the image names it
  std::unique_ptr<ImageRestorer> restorer_;  // null before the first message
  bool arrived_ = false;                     // the domain is the host's
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_IMAGES_RESTORE_CALL_H_
