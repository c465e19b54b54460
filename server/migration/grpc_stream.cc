#include "server/migration/grpc_stream.h"

#include <utility>

#include "server/calls/stall_timer.h"
#include "server/migration/convert_migration.h"
#include "server/migration/grpc_peer.h"

namespace simvisor::server {

GrpcStream::GrpcStream(std::unique_ptr<v1::MigrationService::Stub> stub,
                       Clock* clock, Clock::Time::duration window)
    : stub_(std::move(stub)), clock_(clock), window_(window) {}

GrpcStream::~GrpcStream() {
  if (open_) End({});
}

void GrpcStream::Open() {
  open_ = true;
  stub_->async()->ReceiveDomain(&context_, this);
  // Needed because writes start outside of gRPC's callbacks.
  AddHold();
  StartRead(&incoming_);
  StartCall();
}

void GrpcStream::OnReadDone(bool ok) {
  bool misplaced = false;
  {
    absl::MutexLock lock(&mu_);
    if (!ok) {
      broken_ = true;
      return;
    }
    const absl::Status put = answers_.Put(AnswerOf(incoming_));
    misplaced = !put.ok();
    if (misplaced && fault_.ok()) fault_ = put;
    if (!misplaced) answer_ = std::move(incoming_);
    incoming_.Clear();
  }
  if (misplaced) {
    Cancel();
  } else {
    StartRead(&incoming_);
  }
}

void GrpcStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mu_);
  writing_ = false;
  if (!ok) broken_ = true;
}

void GrpcStream::OnDone(const grpc::Status& status) {
  absl::MutexLock lock(&mu_);
  broken_ = true;
  status_ = status;
}

bool GrpcStream::Await(bool (GrpcStream::*condition)() const) {
  const absl::Condition holds(this, condition);
  clock_->Await(&mu_, holds, clock_->Now() + window_);
  if ((this->*condition)()) return true;
  if (fault_.ok()) fault_ = StallStatus("the target", window_);
  return false;
}

void GrpcStream::Expect(TargetAnswer answer) {
  absl::MutexLock lock(&mu_);
  answers_.Expect(answer);
}

bool GrpcStream::Flush() {
  {
    absl::MutexLock lock(&mu_);
    if (Await(&GrpcStream::HasLeft)) return !IsBroken();
  }
  Cancel();
  return false;
}

bool GrpcStream::Write(const SourceMessage& message) {
  ToProto(message, next_);
  if (!Flush()) return false;
  {
    absl::MutexLock lock(&mu_);
    writing_ = true;
  }
  sending_.Swap(&next_);
  StartWrite(&sending_);
  return true;
}

bool GrpcStream::Read(TargetMessage& message) {
  {
    absl::MutexLock lock(&mu_);
    if (Await(&GrpcStream::HasLeft) && Await(&GrpcStream::HasAnswer)) {
      // An answer that came counts, even if the stream has ended since.
      if (!answers_.has_answer() || !fault_.ok()) return false;
      answers_.Take();
      message = FromProto(answer_);
      return true;
    }
  }
  Cancel();
  return false;
}

PeerStatus GrpcStream::End(Clock::Time::duration patience) {
  open_ = false;
  bool left = false;
  {
    absl::MutexLock lock(&mu_);
    clock_->Await(&mu_, absl::Condition(this, &GrpcStream::HasLeft),
                  clock_->Now() + patience);
    left = !writing_ && !IsBroken();
  }
  if (left) StartWritesDone();
  RemoveHold();
  bool done = false;
  {
    absl::MutexLock lock(&mu_);
    clock_->Await(&mu_, absl::Condition(this, &GrpcStream::IsDone),
                  clock_->Now() + patience);
    done = IsDone();
  }
  // gRPC ends a cancelled call at once.
  if (!done) Cancel();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &GrpcStream::IsDone));
  return ToPeerStatus(*status_);
}

absl::Status GrpcStream::fault() const {
  absl::MutexLock lock(&mu_);
  return fault_;
}

}  // namespace simvisor::server
