#include "server/mmus/subscribe_call.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/status_macros.h"
#include "server/calls/quick_gate.h"
#include "server/calls/stall_timer.h"
#include "server/convert/argument.h"
#include "server/machine/memory_reserve.h"
#include "server/mmus/convert_mmu.h"
#include "server/threads/job_queue.h"

namespace simvisor::server {
namespace {

// Messages taken from the queue at a time.
constexpr size_t kBatch = 64;

}  // namespace

// The subscription may signal after the call has ended.
class SubscribeCall::Signal final : public MmuSignal {
 public:
  explicit Signal(SubscribeCall* call) : call_(call) {}

  void MessagesWait() override {
    absl::MutexLock lock(&mu_);
    if (call_ != nullptr) call_->NoteMessages();
  }
  void Clear() {
    absl::MutexLock lock(&mu_);
    call_ = nullptr;
  }

 private:
  absl::Mutex mu_;
  SubscribeCall* call_ ABSL_GUARDED_BY(mu_);
};

SubscribeCall::SubscribeCall(CallRunner* runner,
                             grpc::CallbackServerContext* context)
    : StreamReactor(runner, &runner->pool, /*calls=*/nullptr, context,
                    "Subscribe"),
      signal_(std::make_shared<Signal>(this)),
      unsent_(context),
      session_(&runner->machine) {}

SubscribeCall::~SubscribeCall() = default;

void SubscribeCall::Start() {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    due = Decide();
  }
  Do(due);
}

void SubscribeCall::OnReadDone(bool ok) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    asked_ = false;
    if (finished_) return;
    if (ok && !IsEnding()) {
      handling_ = true;
    } else {
      // The client has half-closed or is gone, or what it says comes too late.
      reads_over_ = true;
      due = Decide();
      ok = false;
    }
  }
  if (ok) {
    Take();
  } else {
    Do(due);
  }
}

void SubscribeCall::Take() {
  const absl::Status taken = WithinMemory(record_.method(), [this] {
    return request_.Take(runner_->messages, record_.method(), read_);
  });
  if (!taken.ok()) return Handled(taken);
  {
    absl::MutexLock lock(&mu_);
    unread_ += MmuSession::AnswersTo(*request_);
  }
  if (!session_.is_open()) return runner_->waits.Submit([this] { Open(); });
  if (!MmuSession::NeedsDomain(*request_)) return HandleHere();
  {
    // At most one at a time takes the domain's lock on a thread of gRPC.
    const QuickGate::Pass pass(&runner_->quick);
    if (pass.is_in() && IsDomainFree()) return HandleHere();
  }
  runner_->streams.Submit([this] { HandleOnDomain(Place::kShort); });
}

void SubscribeCall::Open() {
  absl::Status status = limits_();
  if (status.ok()) {
    status = WithinMemory(record_.method(), [this] {
      return session_.Open(*request_, limits_, signal_);
    });
  }
  Handled(status);
}

void SubscribeCall::HandleHere() {
  {
    absl::MutexLock lock(&mu_);
    inline_ = true;
  }
  Handled(WithinMemory(record_.method(),
                       [this] { return session_.Handle(*request_, limits_); }));
}

bool SubscribeCall::IsDomainFree() const {
  return !runner_->machine.faults().enabled() &&
         session_.domain()->TryPages().has_value();
}

void SubscribeCall::HandleOnDomain(Place place) {
  std::optional<Detour> detour;
  absl::Status status;
  {
    JobScope scope(&runner_->lanes, place);
    status = JobScope::Enter(session_.domain());
    if (status.ok()) {
      status = WithinMemory(record_.method(), [this] {
        return session_.Handle(*request_, limits_);
      });
    } else {
      detour = scope.detour();
    }
  }
  if (!detour.has_value()) return Handled(status);
  // One job for each stream, so their number is limited.
  runner_->lanes.SubmitAlways(detour->lane.get(),
                              {.run = [this] { HandleOnDomain(Place::kLane); },
                               .is_over = [] { return false; }});
}

void SubscribeCall::Handled(const absl::Status& status) {
  request_.Clear();
  read_.Clear();
  Due due;
  {
    absl::MutexLock lock(&mu_);
    handling_ = false;
    inline_ = false;
    opened_ = session_.is_open();
    // It may have queued messages, or ended the subscription.
    dirty_ = true;
    // What is wrong with a message says more than that it led to a fence.
    if (!status.ok()) error_ = status;
    due = Decide();
  }
  Do(due);
}

void SubscribeCall::NoteMessages() {
  absl::MutexLock lock(&mu_);
  dirty_ = true;
  // Otherwise the thread that is at work there looks again.
  if (inline_ || writing_ || pumping_ || !opened_ || finished_) return;
  pumping_ = UnlessExhausted([this] {
               runner_->signals.Submit([this] { Pump(); });
               return absl::OkStatus();
             }).ok();
}

void SubscribeCall::Pump() {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    pumping_ = false;
    due = Decide();
  }
  Do(due);
}

absl::Status SubscribeCall::Refill() {
  return WithinMemory(record_.method(), [this] {
    for (mmu::Message& message : session_.TakeMessages(kBatch, &last_taken_)) {
      outbox_.push_back(std::move(message));
    }
    return absl::OkStatus();
  });
}

void SubscribeCall::WriteNext() {
  if (outbox_.empty() && !last_taken_) {
    {
      absl::MutexLock lock(&mu_);
      dirty_ = false;
    }
    const absl::Status refilled = Refill();
    if (!refilled.ok()) return Rest(refilled);
  }
  if (outbox_.empty()) return Rest(absl::OkStatus());
  const mmu::Message message = std::move(outbox_.front());
  outbox_.pop_front();
  if (const auto* const fenced = std::get_if<mmu::Fenced>(&message.body)) {
    return Rest(fenced->status);
  }
  const absl::Status written = WithinMemory(record_.method(), [this, &message] {
    v1::SubscribeResponse response;
    ToProto(message, &response);
    // Bounded: by what the client owes, and by kMaxUnread.
    WriteMessageAlways(runner_->messages, response, write_);
    return absl::OkStatus();
  });
  if (!written.ok()) return Rest(written);
  is_answer_ = MmuSession::IsAnswer(message);
  grpc::WriteOptions options;
  if (!outbox_.empty()) options.set_buffer_hint();
  // Never false: only a stalled write interrupts the call, and no write
  // follows it.
  static_cast<void>(watch_.Wait(StallWait::kWrite, [this, &options] {
    runner_->messages.unsent().Add(&unsent_, write_.Length());
    StartWrite(&write_, options);
  }));
}

void SubscribeCall::Rest(const absl::Status& why) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    over_ |= last_taken_ && outbox_.empty() && why.ok();
    if (error_.ok()) error_ = why;
    due = Decide();
  }
  Do(due);
}

void SubscribeCall::OnWriteDone(bool ok) {
  unsent_.Remove();
  if (!watch_.Done()) return;
  if (!ok) return BreakWrites();
  watch_.Moved();
  Due due;
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    dirty_ = true;
    if (is_answer_ && unread_ > 0) --unread_;
    over_ |= last_taken_ && outbox_.empty();
    due = Decide();
  }
  Do(due);
}

void SubscribeCall::BreakWrites() {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    broken_ = true;
    due = Decide();
  }
  Do(due);
}

SubscribeCall::Due SubscribeCall::Decide() {
  Due due;
  if (finished_) return due;
  // Nothing can follow from a client that says nothing more, once it has got
  // everything there is.
  if (reads_over_ && !handling_ && !writing_ && !dirty_ && !over_) {
    broken_ = true;
  }
  if (!IsEnding()) {
    if (!asked_ && !handling_ && !reads_over_ && unread_ <= kMaxUnread) {
      asked_ = true;
      due.read = true;
    }
    if (opened_ && dirty_ && !writing_) {
      writing_ = true;
      due.write = true;
    }
    if (!opened_ && reads_over_ && !handling_) broken_ = true;
  }
  due.finish = IsEnding() && !handling_ && !writing_ && !pumping_;
  finished_ = due.finish;
  return due;
}

void SubscribeCall::Do(const Due& due) {
  if (due.read) StartRead(&read_);
  if (due.write) WriteNext();
  if (due.finish) EndAll();
}

void SubscribeCall::EndAll() {
  // From here on no other thread uses the call, except for a read in flight.
  signal_->Clear();
  absl::Status status;
  bool over = false;
  {
    absl::MutexLock lock(&mu_);
    status = error_;
    over = over_;
  }
  if (session_.is_open()) {
    if (!status.ok()) {
      session_.Fence();
      session_.Close();
    } else if (over) {
      session_.Close();
    } else {
      status = session_.Break();
    }
  } else if (status.ok()) {
    status = ArgumentMissing("register", "begin with register or resume");
  }
  absl::Status why = watch_.why();
  if (why.ok() && !over) why = limits_();
  End(why.ok() ? status : why);
}

}  // namespace simvisor::server
