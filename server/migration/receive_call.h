// One ReceiveDomain call: the target's end of a migration.
//
// Step by step; at any moment exactly one of these holds, so members need no
// lock: a job of the call is queued or runs, a read or a write is
// in flight, or the call is finished.
//
//   step         begins with                  goes on to
//   kOffer       the first read               kReceiving
//   kReceiving   a read of data               itself; ADMITTED is written once
//                                             there is room, and PREPARED at
//                                             the end of the stream, then
//                                             kPrepared
//   kPrepared    a read of COMMIT             COMMITTED is written, then
//                                             kCommitted
//   kCommitted   a read of DONE               the end
//
// What the domain is at each step stands in IncomingMigrations; what breaks the
// call is told there.  A source that falls silent, and a decision that drops
// the domain while it comes in, end the call: see StallWatch, which has a job
// end it in place of the read or write in flight.  Thread safety: as argued
// above.

#ifndef SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_
#define SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
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
#include "server/migration/incoming_migrations.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class ReceiveCall : public RawBidiReactor {
 public:
  using Reactor = RawBidiReactor;

  ReceiveCall(CallRunner* runner, IncomingMigrations* migrations,
              grpc::CallbackServerContext* context);

  void Start() { Read(); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  enum class Step { kOffer, kReceiving, kPrepared, kCommitted };

  // On the threads for images, but for the first read.
  void Read();
  void Take();
  // A response has left.
  void Written();
  absl::Status Reach(FaultPoint point) {
    return runner_->machine.faults().Reach(point, name_);
  }
  // Writes the response that is due, or reads on, or ends the call.
  void GoOn(const absl::Status& status);
  // Does what the request asks for, and fills in a response if one is due.
  absl::Status Handle();
  absl::Status TakeOffer(const v1::ReceiveDomainRequest::Offer& offer);
  absl::Status TakeData();
  absl::Status Arrive();
  absl::Status TakeCommit();
  // The stream broke, or ended where it must not.
  void Break();
  void End(const absl::Status& status);
  absl::Status Misplaced(absl::string_view expected) const;

  CallRunner* const runner_;
  IncomingMigrations* const migrations_;
  const CallLimits limits_;
  const CallRecord record_;
  StallWatch watch_;
  Step step_ = Step::kOffer;
  std::string id_;  // empty until it is known to be ours
  std::string name_;
  bool admitted_ = false;
  std::unique_ptr<ImageRestorer> restorer_;
  std::shared_ptr<Domain> domain_;
  grpc::ByteBuffer read_;
  TakenMessage<v1::ReceiveDomainRequest> request_;
  v1::ReceiveDomainResponse response_;
  grpc::ByteBuffer write_;  // the response
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_RECEIVE_CALL_H_
