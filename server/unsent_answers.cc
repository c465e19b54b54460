#include "server/unsent_answers.h"

#include <vector>

#include "absl/status/status.h"
#include "domain/units/error.h"
#include "server/cancel_call.h"

namespace simvisor::server {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Milliseconds(100);

}  // namespace

UnsentAnswers::UnsentAnswers(absl::Duration patience)
    : state_(std::make_shared<State>(patience)) {}

UnsentAnswers::Ticket::Ticket(const UnsentAnswers& answers, grpc_call* call,
                              size_t size)
    : state_(answers.state_),
      call_(call),
      until_(absl::Now() + state_->patience +
             absl::Seconds(static_cast<double>(size) / kBytesPerSecond)) {
  {
    absl::MutexLock lock(&state_->mu);
    at_ = state_->tickets.insert(state_->tickets.end(), this);
  }
  // Last, since there may be no memory for the list.
  grpc_call_ref(call_);
}

UnsentAnswers::Ticket::~Ticket() {
  {
    absl::MutexLock lock(&state_->mu);
    state_->tickets.erase(at_);
  }
  grpc_call_unref(call_);
}

size_t UnsentAnswers::CancelOverdue() {
  const absl::Time now = absl::Now();
  std::vector<grpc_call*> overdue;
  {
    absl::MutexLock lock(&state_->mu);
    if (now - state_->looked_at < kBetweenLooks) return 0;
    state_->looked_at = now;
    for (const Ticket* const ticket : state_->tickets) {
      if (ticket->until_ > now) continue;
      grpc_call_ref(ticket->call_);
      overdue.push_back(ticket->call_);
    }
  }
  const absl::Status why =
      MakeError(absl::StatusCode::kAborted, Reason::kCallStalled,
                "the answer has not been read for long, and other calls needed "
                "its memory; call again and read");
  for (grpc_call* const call : overdue) {
    CancelCall(call, why);
    grpc_call_unref(call);
  }
  return overdue.size();
}

}  // namespace simvisor::server
