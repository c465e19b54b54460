// One SaveDomain call.
//
// Step by step; at any moment exactly one of these holds, so members need no
// lock: a job of the call is queued or runs, a read or a write is
// in flight, or the call is finished.
//
//   step        begins with            goes on to
//   kStart      the first read         kSending once the guest is suspended
//   kSending    a chunk is written     itself, or kStored after the last chunk
//   kStored     the second read        the end: the domain is done with
//
// Whatever goes wrong before the end, the guest resumes.  A client that takes
// nothing, or says nothing, ends the call: see StallWatch, which has a job end
// it in place of the read or write in flight.  Thread safety: as argued above.

#ifndef SIMVISOR_SERVER_IMAGES_SAVE_CALL_H_
#define SIMVISOR_SERVER_IMAGES_SAVE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "domain/image/image_saver.h"
#include "domain/vm/domain.h"
#include "server/calls/call_limits.h"
#include "server/calls/call_record.h"
#include "server/calls/call_runner.h"
#include "server/calls/raw_message.h"
#include "server/calls/raw_service.h"
#include "server/calls/stall_timer.h"
#include "simvisor/v1/migration_service.pb.h"

namespace simvisor::server {

class SaveCall : public RawBidiReactor {
 public:
  using Reactor = RawBidiReactor;

  SaveCall(CallRunner* runner, grpc::CallbackServerContext* context);

  void Start() { Read(); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  enum class Step { kStart, kSending, kStored };

  // On the threads for images, but for the first read.
  void Read();
  void Take();
  void Begin();
  void Send();
  void Complete();
  // Ends the call; the guest resumes if it is suspended.  On the same.
  void Fail(const absl::Status& status);

  absl::Status Suspend();
  absl::Status FillChunk();
  // Ends the suspension; the guest runs, or stays paused.
  absl::Status Resume(bool paused);
  // Why the stream broke.
  absl::Status Broken() const;
  void End(const absl::Status& status);

  CallRunner* const runner_;
  const CallLimits limits_;
  const CallRecord record_;
  StallWatch watch_;
  Step step_ = Step::kStart;
  grpc::ByteBuffer read_;
  TakenMessage<v1::SaveDomainRequest> request_;
  grpc::ByteBuffer write_;  // a chunk
  bool last_ = false;       // it is
  v1::AfterSave after_ = v1::AFTER_SAVE_DESTROY;
  std::shared_ptr<Domain> domain_;  // suspended by this call
  uint64_t suspension_ = 0;
  std::optional<ImageSaver> saver_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_IMAGES_SAVE_CALL_H_
