#include "server/migration/peer_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "server/calls/stall_timer.h"

namespace simvisor::server {
namespace {

std::string NameOf(PeerStream::Answer step) {
  switch (step) {
    case v1::ReceiveDomainResponse::kAdmitted:
      return "ADMITTED";
    case v1::ReceiveDomainResponse::kPrepared:
      return "PREPARED";
    case v1::ReceiveDomainResponse::kCommitted:
      return "COMMITTED";
    case v1::ReceiveDomainResponse::STEP_NOT_SET:
      break;
  }
  return "nothing";
}

}  // namespace

PeerStream::PeerStream(v1::MigrationService::Stub* stub,
                       grpc::ClientContext* context, Clock* clock,
                       Clock::Time::duration window)
    : context_(context), clock_(clock), window_(window) {
  stub->async()->ReceiveDomain(context, this);
  // Writes come from outside of gRPC's callbacks.
  AddHold();
  StartRead(&incoming_);
  StartCall();
}

PeerStream::~PeerStream() {
  if (!ended_) End({});
}

void PeerStream::OnReadDone(bool ok) {
  bool early = false;
  {
    absl::MutexLock lock(&mu_);
    if (!ok) {
      broken_ = true;
      return;
    }
    const Answer step = incoming_.step_case();
    early = step == kNoAnswer || step != expected_ || answer_.has_value();
    if (!early) {
      expected_ = kNoAnswer;
      answer_ = std::move(incoming_);
      incoming_.Clear();
    } else if (fault_.ok()) {
      fault_ = MakeError(
          absl::StatusCode::kFailedPrecondition, Reason::kTargetMisbehaved,
          absl::StrCat("the target answered ", NameOf(step), " where ",
                       NameOf(expected_), " was due"));
    }
  }
  if (early) {
    context_->TryCancel();
  } else {
    StartRead(&incoming_);
  }
}

void PeerStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mu_);
  writing_ = false;
  if (!ok) broken_ = true;
}

void PeerStream::OnDone(const grpc::Status& status) {
  absl::MutexLock lock(&mu_);
  broken_ = true;
  status_ = status;
}

bool PeerStream::Await(bool (PeerStream::*condition)() const) {
  const absl::Condition holds(this, condition);
  clock_->Await(&mu_, holds, clock_->Now() + window_);
  if ((this->*condition)()) return true;
  if (fault_.ok()) fault_ = StallStatus("the target", window_);
  return false;
}

void PeerStream::Expect(Answer answer) {
  absl::MutexLock lock(&mu_);
  expected_ = answer;
}

bool PeerStream::Flush() {
  {
    absl::MutexLock lock(&mu_);
    if (Await(&PeerStream::HasLeft)) return !IsBroken();
  }
  context_->TryCancel();
  return false;
}

bool PeerStream::Write(v1::ReceiveDomainRequest& request) {
  if (!Flush()) return false;
  {
    absl::MutexLock lock(&mu_);
    writing_ = true;
  }
  sending_.Swap(&request);
  StartWrite(&sending_);
  return true;
}

bool PeerStream::Read(v1::ReceiveDomainResponse& response) {
  {
    absl::MutexLock lock(&mu_);
    if (Await(&PeerStream::HasLeft) && Await(&PeerStream::HasAnswer)) {
      // One that came counts, even if the stream has ended since.
      if (!answer_.has_value() || !fault_.ok()) return false;
      response = *std::move(answer_);
      answer_.reset();
      return true;
    }
  }
  context_->TryCancel();
  return false;
}

grpc::Status PeerStream::End(Clock::Time::duration patience) {
  ended_ = true;
  bool left = false;
  {
    absl::MutexLock lock(&mu_);
    clock_->Await(&mu_, absl::Condition(this, &PeerStream::HasLeft),
                  clock_->Now() + patience);
    left = !writing_ && !IsBroken();
  }
  if (left) StartWritesDone();
  RemoveHold();
  bool done = false;
  {
    absl::MutexLock lock(&mu_);
    clock_->Await(&mu_, absl::Condition(this, &PeerStream::IsDone),
                  clock_->Now() + patience);
    done = IsDone();
  }
  // gRPC ends what is cancelled at once.
  if (!done) context_->TryCancel();
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(this, &PeerStream::IsDone));
  return *status_;
}

absl::Status PeerStream::fault() const {
  absl::MutexLock lock(&mu_);
  return fault_;
}

}  // namespace simvisor::server
