#include "server/memory/memory_ops_call.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "server/calls/find_domain.h"
#include "server/calls/stall_timer.h"
#include "server/convert/argument.h"
#include "server/machine/memory_reserve.h"
#include "server/memory/memory_ops.h"
#include "server/threads/bounded_jobs.h"
#include "server/threads/job_queue.h"
#include "server/threads/job_scope.h"

namespace simvisor::server {
namespace {

// The call does not read on while more than this is outstanding.
constexpr size_t kMaxOutstandingOps = kMaxOpsPerMessage;
constexpr uint64_t kMaxOutstandingWeight = uint64_t{8} << 20;

// Why a write fails, unless the deadline has passed: the client is gone.
absl::Status Vanished() {
  return StopStatus(/*cancelled=*/true, WallTime::min(), WallTime::max());
}

bool ChangesWords(const v1::MemoryOp& op) {
  return op.op_case() != v1::MemoryOp::kTranslate &&
         op.op_case() != v1::MemoryOp::kWrite;
}

// May outlive the call, so it uses only the scheduler.
template <typename Scheduler>
void RunJob(CallRunner* runner, std::shared_ptr<Scheduler> scheduler,
            std::optional<const Domain*> awaited = std::nullopt,
            Place place = Place::kShort) {
  const auto next = [&] {
    // Says whether changes may wait for secondary MMUs.
    const JobScope scope(&runner->lanes, place);
    return scheduler->Run(awaited);
  }();
  if (!next) return;
  place = !next.wait_for.has_value()   ? Place::kShort
          : next.wait == OpWait::kLong ? Place::kWait
                                       : Place::kLane;
  auto go_on = [runner, scheduler = std::move(scheduler),
                domain = next.wait_for, place]() mutable {
    RunJob(runner, std::move(scheduler), domain, place);
  };
  // Bounded, since a stream has a few jobs and the number of streams is
  // limited.  A job whose call is over still has to skip its operations.
  switch (place) {
    case Place::kWait:
      return runner->waits.Submit(std::move(go_on));
    case Place::kLane:
      return runner->lanes.SubmitAlways(
          *next.wait_for,
          {.run = std::move(go_on), .is_over = [] { return false; }});
    default:
      return runner->streams.Submit(std::move(go_on));
  }
}

}  // namespace

MemoryOpsCall::MemoryOpsCall(CallRunner* runner,
                             grpc::CallbackServerContext* context)
    // In flight only while something is outstanding.
    : StreamReactor(runner, &runner->pool, /*calls=*/nullptr, context,
                    "StreamMemoryOps"),
      scheduler_(std::make_shared<Scheduler>(
          OpSchedulerLimits(),
          [this](std::vector<Op>& ops, absl::FunctionRef<bool()> is_over) {
            return DoTurn(ops, is_over);
          },
          Scheduler::Clock::now,
          [](const Domain* domain, const Op& next) {
            if (ChangesWords(*next.op) && domain->ChangesWait()) {
              return OpWait::kLong;
            }
            return domain->TryPages().has_value() ? OpWait::kNone
                                                  : OpWait::kBrief;
          })),
      idle_(context),
      unsent_(context) {}

void MemoryOpsCall::Start() {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    due = Decide();
  }
  Do(due);
}

void MemoryOpsCall::OnReadDone(bool ok) {
  {
    absl::MutexLock lock(&mu_);
    asked_ = false;
    ShowWhetherIdle();
  }
  if (ok) return runner_->streams.Submit([this] { Take(); });
  // The client has half-closed, or the call is over.
  Refuse(absl::OkStatus());
}

void MemoryOpsCall::Refuse(const absl::Status& error) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    reads_over_ = true;
    error_ = error;
    due = Decide();
  }
  Do(due);
}

void MemoryOpsCall::OnWriteDone(bool ok) {
  unsent_.Remove();
  if (!watch_.Done()) return;
  if (!ok) return BreakWrites();
  watch_.Moved();
  Reply written;  // freed without the lock
  Due due;
  {
    absl::MutexLock lock(&mu_);
    written = std::move(writing_);
    Forget(*written);
    due = Decide();
  }
  Do(due);
}

void MemoryOpsCall::BreakWrites() {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    broken_ = std::move(writing_);
    Forget(*broken_);
    writes_broken_ = true;
    for (const Reply& reply : outbox_) Forget(*reply);
    outbox_.clear();
    due = Decide();
  }
  Do(due);
}

void MemoryOpsCall::Take() {
  auto batch = std::make_unique<MemoryOpBatch>();
  const absl::Status parsed = WithinMemory(
      record_.method(), [&] { return batch->Parse(runner_->messages, read_); });
  read_.Clear();
  if (!parsed.ok()) {
    batch.reset();
    return Refuse(parsed);
  }
  std::vector<Reply> failed;
  const absl::Status found =
      WithinMemory(record_.method(), [&]() -> absl::Status {
        failed = FindDomains(*batch);
        return absl::OkStatus();
      });
  if (!found.ok()) {
    entries_.clear();
    batch.reset();
    return Refuse(found);
  }
  Hold(std::move(batch), std::move(failed));
  const size_t jobs = scheduler_->Add(entries_);

  CallRunner* const runner = runner_;
  std::shared_ptr<Scheduler> scheduler = scheduler_;
  for (size_t i = 1; i < jobs; ++i) {
    runner->streams.Submit([runner, scheduler] { RunJob(runner, scheduler); });
  }
  Due due;
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    due = Decide();
  }
  Do(due);
  if (jobs > 0) RunJob(runner, std::move(scheduler));
}

std::vector<MemoryOpsCall::Reply> MemoryOpsCall::FindDomains(
    const MemoryOpBatch& batch) {
  std::vector<Reply> failed;
  entries_.reserve(batch.size());
  for (const v1::MemoryOp& op : batch.ops()) {
    absl::StatusOr<std::shared_ptr<Domain>> domain =
        LookUpDomain(runner_->host(), op.domain());
    if (domain.ok()) {
      const Domain* const key = domain->get();
      entries_.push_back({key, {&batch, &op, *std::move(domain)}});
    } else {
      if (failed.empty() || failed.back()->full()) {
        failed.push_back(std::make_unique<MemoryOpReply>());
      }
      MemoryOpReply& reply = *failed.back();
      v1::MemoryOpResult* const result = reply.Begin(op);
      MemoryOpReply::Fail(domain.status(), result);
      reply.End(*result);
    }
  }
  return failed;
}

void MemoryOpsCall::Hold(std::unique_ptr<const MemoryOpBatch> batch,
                         std::vector<Reply> failed) {
  absl::MutexLock lock(&mu_);
  AddOutstanding(std::max<size_t>(batch->size(), 1));
  if (batch->size() == 0) failed.push_back(std::make_unique<MemoryOpReply>());
  for (Reply& reply : failed) Post(std::move(reply));
  if (entries_.empty()) return;
  const uint64_t weight = batch->Weight();
  weight_ += weight;
  const MemoryOpBatch* const key = batch.get();
  held_[key] = {std::move(batch), entries_.size(), weight};
}

size_t MemoryOpsCall::DoTurn(const std::vector<Op>& ops,
                             absl::FunctionRef<bool()> is_over) {
  const CallLimits limits = limits_;
  auto reply = std::make_unique<MemoryOpReply>();
  size_t done = 0;
  size_t skipped = 0;
  while (done < ops.size() && (done == 0 || !is_over())) {
    // The first may run here, see the scheduler's WaitOf.
    if (done > 0 && ChangesWords(*ops[done].op) &&
        !JobScope::BeginChange(*ops[done].domain).ok()) {
      break;
    }
    const Op& op = ops[done++];
    if (!limits().ok()) {
      ++skipped;
      continue;
    }
    if (reply->full()) {
      Send(std::move(reply));
      reply = std::make_unique<MemoryOpReply>();
    }
    v1::MemoryOpResult* const result = reply->Begin(*op.op);
    const absl::Status status = WithinMemory(
        record_.method(), [&] { return DoOp(op, limits, result); });
    if (!status.ok()) MemoryOpReply::Fail(status, result);
    reply->End(*result);
  }
  EndTurn(absl::MakeConstSpan(ops).first(done), skipped, std::move(reply));
  return done;
}

absl::Status MemoryOpsCall::DoOp(const Op& op, const CallLimits& limits,
                                 v1::MemoryOpResult* result) const {
  const memory_ops::Subject on{runner_->machine, op.domain, limits};
  const v1::MemoryOp& what = *op.op;
  switch (what.op_case()) {
    case v1::MemoryOp::kSetTarget:
      return memory_ops::SetTarget()(on, what.set_target(),
                                     result->mutable_set_target());
    case v1::MemoryOp::kBalloonDown:
      return memory_ops::BalloonDown()(on, what.balloon_down(),
                                       result->mutable_balloon_down());
    case v1::MemoryOp::kBalloonUp:
      return memory_ops::BalloonUp()(on, what.balloon_up(),
                                     result->mutable_balloon_up());
    case v1::MemoryOp::kTranslate:
      return memory_ops::Translate()(on, what.translate(),
                                     result->mutable_translate());
    case v1::MemoryOp::kSet:
      return memory_ops::SetRange()(on, what.set(), result->mutable_set());
    case v1::MemoryOp::kIdentity:
      return memory_ops::MarkIdentity()(on, what.identity(),
                                        result->mutable_identity());
    case v1::MemoryOp::kWrite:
      return memory_ops::Write()(on, what.write(), result->mutable_write());
    case v1::MemoryOp::OP_NOT_SET:
      break;
  }
  return ArgumentMissing("op",
                         "give set_target, balloon_down, balloon_up, "
                         "translate, set, identity or write");
}

void MemoryOpsCall::Send(Reply reply) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    Post(std::move(reply));
    due = Decide();
  }
  Do(due);
}

void MemoryOpsCall::EndTurn(absl::Span<const Op> ops, size_t skipped,
                            Reply reply) {
  Due due;
  {
    absl::MutexLock lock(&mu_);
    for (const Op& op : ops) Release(op.batch);
    SubtractOutstanding(skipped);
    if (!reply->empty()) Post(std::move(reply));
    due = Decide();
  }
  Do(due);
}

void MemoryOpsCall::Post(Reply reply) {
  if (writes_broken_) return SubtractOutstanding(reply->CountedAs());
  weight_ += reply->weight();
  if (outbox_.empty() || !outbox_.back()->Absorb(*reply)) {
    outbox_.push_back(std::move(reply));
  }
  outbox_.back()->CountIn(runner_->messages);
}

void MemoryOpsCall::Forget(const MemoryOpReply& reply) {
  weight_ -= reply.weight();
  SubtractOutstanding(reply.CountedAs());
}

void MemoryOpsCall::Release(const MemoryOpBatch* batch) {
  const auto at = held_.find(batch);
  if (--at->second.undone > 0) return;
  weight_ -= at->second.weight;
  held_.erase(at);
}

void MemoryOpsCall::AddOutstanding(size_t ops) {
  if (outstanding_ == 0 && ops > 0) runner_->calls.Begin();
  outstanding_ += ops;
}

void MemoryOpsCall::SubtractOutstanding(size_t ops) {
  outstanding_ -= ops;
  if (outstanding_ == 0 && ops > 0) runner_->calls.End();
}

bool MemoryOpsCall::HasRoom() const {
  return outstanding_ <= kMaxOutstandingOps && weight_ <= kMaxOutstandingWeight;
}

MemoryOpsCall::Due MemoryOpsCall::Decide() {
  Due due;
  if (!reading_ && !reads_over_ && !writes_broken_ && HasRoom()) {
    reading_ = true;
    asked_ = true;
    due.read = true;
  }
  if (writing_ == nullptr && !outbox_.empty()) {
    writing_ = std::move(outbox_.front());
    outbox_.pop_front();
    due.write = writing_.get();
  }
  due.finish = !reading_ && (reads_over_ || writes_broken_) &&
               outstanding_ == 0 && !finished_;
  finished_ |= due.finish;
  ShowWhetherIdle();
  return due;
}

void MemoryOpsCall::ShowWhetherIdle() {
  if (asked_ && outstanding_ == 0) {
    runner_->idle_calls.Add(&idle_);
  } else {
    runner_->idle_calls.Remove(&idle_);
  }
}

void MemoryOpsCall::Do(const Due& due) {
  if (due.read) StartRead(&read_);
  if (due.write != nullptr) {
    // Never false: only a stalled write interrupts the call, and no write
    // follows it.
    static_cast<void>(watch_.Wait(StallWait::kWrite, [this, &due] {
      const grpc::ByteBuffer* const bytes =
          due.write->Serialize(runner_->messages);
      runner_->messages.unsent().Add(&unsent_, bytes->Length());
      StartWrite(bytes);
    }));
  }
  if (due.finish) EndAll();
}

void MemoryOpsCall::EndAll() {
  absl::Status status = watch_.why();
  if (status.ok()) status = limits_();
  {
    absl::MutexLock lock(&mu_);
    if (status.ok()) status = error_;
    if (status.ok() && writes_broken_) status = Vanished();
  }
  End(status);
}

}  // namespace simvisor::server
