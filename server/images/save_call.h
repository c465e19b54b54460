// One SaveDomain call.
//
//   step        begins with            goes on to
//   kStart      the first read         kSending once the guest is suspended
//   kSending    a chunk is written     itself, or kStored after the last chunk
//   kStored     the second read        the end: the domain's fate is settled
//
// On any error before the end, the guest resumes.
//
// Thread safety: as PooledReactor.

#ifndef SIMVISOR_SERVER_IMAGES_SAVE_CALL_H_
#define SIMVISOR_SERVER_IMAGES_SAVE_CALL_H_

#include <grpcpp/server_context.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "domain/image/image_saver.h"
#include "domain/vm/domain.h"
#include "server/calls/call_runner.h"
#include "server/calls/pooled_reactor.h"
#include "server/calls/raw_message.h"
#include "simvisor/v1/migration_service.pb.h"

namespace simvisor::server {

class SaveCall : public PooledBidiReactor {
 public:
  SaveCall(CallRunner* runner, grpc::CallbackServerContext* context);

 private:
  enum class Step { kStart, kSending, kStored };

  void Take() override;
  void Written() override;
  void Break() override;
  // Resumes the guest if it is suspended.
  void End(const absl::Status& status) override;

  // Handles the message that has been read, maybe on CallRunner::waits.
  void GoOn();
  bool MayWait() const;
  void Begin();
  void Send();
  void Complete();
  absl::Status Suspend();
  absl::Status FillChunk();
  // Ends the suspension; the guest runs, or stays paused.
  absl::Status Resume(bool paused);
  // Why the stream broke.
  absl::Status Broken() const;

  Step step_ = Step::kStart;
  TakenMessage<v1::SaveDomainRequest> request_;
  bool last_ = false;  // whether write_ has the last chunk
  v1::AfterSave after_ = v1::AFTER_SAVE_DESTROY;
  std::shared_ptr<Domain> domain_;  // set while this call has it suspended
  uint64_t suspension_ = 0;
  std::optional<ImageSaver> saver_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_IMAGES_SAVE_CALL_H_
