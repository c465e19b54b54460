#include "client/api/software_tlb.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/error.h"

namespace simvisor::client {
namespace {

using MmuEvent = v1::SubscribeResponse;

absl::Duration SystemClock() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

bool IsAsking(const MmuEvent& event) {
  return event.has_begin() || event.has_page() || event.has_release() ||
         event.has_young();
}

v1::SubscribeRequest MakeRegister(const v1::DomainRef& domain,
                                  const SoftwareTlb::Options& options) {
  v1::SubscribeRequest request;
  auto& spec = *request.mutable_register_();
  *spec.mutable_domain() = domain;
  spec.set_name(options.name);
  for (const v1::PfnExtent& pfns : options.intervals) {
    *spec.add_intervals() = pfns;
  }
  spec.set_rule(options.rule);
  spec.set_events(options.events);
  spec.set_lease_ms(absl::ToInt64Milliseconds(options.lease));
  spec.set_fault_window(options.fault_window);
  spec.set_resumable(options.resumable);
  return request;
}

absl::Status ToStatus(uint64_t pfn,
                      const v1::SubscribeResponse::FaultError& error) {
  return absl::FailedPreconditionError(
      DescribeError(absl::StrCat("pfn 0x", absl::Hex(pfn),
                                 ": the daemon cannot map the page"),
                    error.code(), error.reason()));
}

}  // namespace

SoftwareTlb::SoftwareTlb(const Client& client, Options options)
    : options_(std::move(options)), stream_(client.SubscribeMmu()) {}

absl::StatusOr<std::unique_ptr<SoftwareTlb>> SoftwareTlb::Attach(
    const Client& client, const v1::DomainRef& domain, Options options,
    const CallLimits& limits) {
  auto tlb = absl::WrapUnique(new SoftwareTlb(client, std::move(options)));
  {
    absl::MutexLock lock(&tlb->mu_);
    tlb->out_.push_back(MakeRegister(domain, tlb->options_));
    tlb->lease_.emplace(tlb->Now());
  }
  tlb->reader_ = std::thread([&] { tlb->Read(); });
  tlb->writer_ = std::thread([&] { tlb->Write(); });
  absl::MutexLock lock(&tlb->mu_);
  if (const auto status = tlb->AwaitRegistered(limits); !status.ok()) {
    tlb->violation_ = status;
    tlb->stream_->Cancel();
    tlb->mu_.Await(absl::Condition(&tlb->ended_));
    return status;
  }
  if (tlb->subscription_ != 0) return tlb;
  if (tlb->end_.ok()) tlb->Fail("it ended the call before `registered`");
  return tlb->end_.ok() ? tlb->violation_ : tlb->end_;
}

SoftwareTlb::~SoftwareTlb() {
  if (!reader_.joinable()) return;
  Detach();
  reader_.join();
  writer_.join();
}

absl::Duration SoftwareTlb::Now() const {
  return options_.clock ? options_.clock() : SystemClock();
}

absl::Status SoftwareTlb::AwaitRegistered(const CallLimits& limits) {
  constexpr absl::Duration kSlice = absl::Milliseconds(50);
  const auto decided = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return subscription_ != 0 || ended_;
  };
  const absl::Duration until = Now() + limits.timeout;
  while (!mu_.AwaitWithTimeout(absl::Condition(&decided),
                               std::min(kSlice, until - Now()))) {
    if (limits.must_end && limits.must_end()) {
      return absl::CancelledError("cancelled before it was registered");
    }
    if (Now() >= until) {
      return absl::DeadlineExceededError(
          "not registered in time: changes of the domain were under way");
    }
  }
  return absl::OkStatus();
}

// --- The two threads ---------------------------------------------------------

void SoftwareTlb::Read() {
  MmuEvent message;
  while (stream_->Read(&message)) {
    if (options_.observe) options_.observe(message);
    Answer answer = Answer::kLetGo;
    if (options_.decide && IsAsking(message)) {
      answer = options_.decide(message);
    }
    // Waits for uses; after an acknowledgement none can have the frame.
    absl::MutexLock lock(&mu_);
    Handle(message, answer);
    if (!violation_.ok()) break;
  }
  while (stream_->Read(&message)) {
  }
  const absl::Status status = stream_->Finish();
  absl::MutexLock lock(&mu_);
  pages_.Clear();
  end_ = violation_.ok() ? status : violation_;
  ended_ = true;
}

// Sends what is queued, and renews.
void SoftwareTlb::Write() {
  mu_.Lock();
  while (!ended_) {
    const bool renews = subscription_ != 0 && !leaving_;
    const absl::Duration left =
        renews ? lease_->due() - Now() : absl::InfiniteDuration();
    const bool registered = subscription_ != 0;
    const auto due = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return ended_ || !out_.empty() || registered != (subscription_ != 0);
    };
    const bool woken = mu_.AwaitWithTimeout(absl::Condition(&due), left);
    if (ended_) break;
    v1::SubscribeRequest request;
    if (!out_.empty()) {
      request = std::move(out_.front());
      out_.pop_front();
    } else if (woken || !renews || leaving_) {
      continue;
    } else {
      request.mutable_renew()->set_nonce(lease_->Renew(Now()));
    }
    mu_.Unlock();
    stream_->Write(request);
    mu_.Lock();
  }
  mu_.Unlock();
}

// --- Messages ----------------------------------------------------------------

void SoftwareTlb::Fail(absl::string_view what) {
  violation_ = absl::InternalError(
      absl::StrCat("the daemon breaks the protocol: ", what));
  stream_->Cancel();
}

void SoftwareTlb::Handle(const MmuEvent& message, Answer answer) {
  if (message.ev() != next_ev_) {
    return Fail(absl::StrCat("message ", message.ev(), " came, ", next_ev_,
                             " was due"));
  }
  ++next_ev_;
  switch (message.message_case()) {
    case MmuEvent::kRegistered:
      subscription_ = message.registered().subscription();
      lease_->Grant(absl::Milliseconds(message.registered().lease_ms()));
      break;
    case MmuEvent::kRenewed:
      if (!lease_->Answer(message.renewed().nonce(),
                          message.renewed().extended())) {
        return Fail("it answers a renewal that was not sent");
      }
      break;
    case MmuEvent::kInstalled:
      HandleInstalled(message.installed());
      break;
    case MmuEvent::kRetry:
      ++stats_.retries;
      break;
    case MmuEvent::kBegin:
      HandleBegin(message.ev(), message.begin(), answer);
      break;
    case MmuEvent::kEnd:
      ++stats_.ends;
      HandleClose(message.end().range_id());
      break;
    case MmuEvent::kAbort:
      ++stats_.aborts;
      HandleClose(message.abort().range_id());
      break;
    case MmuEvent::kPage:
      HandlePage(message.ev(), message.page().pfn(), answer);
      break;
    case MmuEvent::kRelease:
      open_.clear();
      pages_.Clear();
      SayAnswer(message.ev(), answer);
      break;
    case MmuEvent::kYoung: {
      if (answer == Answer::kKeep) break;
      auto& reply = *out_.emplace_back().mutable_young();
      reply.set_ev(message.ev());
      pages_.AddYoung(message.young(), reply);
      break;
    }
    default:
      break;
  }
  DeliverAnswer(message);
}

void SoftwareTlb::HandlePage(uint64_t ev, uint64_t pfn, Answer answer) {
  ++stats_.pages;
  v1::PfnExtent page;
  page.set_first_pfn(pfn);
  page.set_count(1);
  if (answer == Answer::kLetGo) pages_.LetGo(page, false);
  SayAnswer(ev, answer);
}

void SoftwareTlb::HandleInstalled(const MmuEvent::Installed& installed) {
  const auto wait = waits_.find(installed.req());
  if (leaving_ || (wait != waits_.end() && wait->second.is_void)) return;
  ++stats_.installs;
  pages_.Install(installed);
}

void SoftwareTlb::HandleBegin(uint64_t ev, const MmuEvent::RangeBegin& begin,
                              Answer answer) {
  const bool protect = begin.reason() == v1::INVALIDATE_REASON_PROTECT;
  if (answer == Answer::kLetGo) {
    for (const v1::PfnExtent& pfns : begin.pfns()) {
      pages_.LetGo(pfns, protect);
    }
  }
  if (begin.more()) return;
  ++stats_.begins;
  if (!open_.insert(begin.range_id()).second) {
    return Fail(absl::StrCat("range ", begin.range_id(), " begins twice"));
  }
  SayAnswer(ev, answer);
}

void SoftwareTlb::HandleClose(uint64_t range) {
  if (open_.erase(range) == 0) {
    Fail(absl::StrCat("range ", range, " is closed twice, or never began"));
  }
}

void SoftwareTlb::DeliverAnswer(const MmuEvent& message) {
  const auto wait = waits_.find(AnsweredRequest(message));
  if (wait == waits_.end()) return;
  if (wait->second.is_given_up) {
    waits_.erase(wait);
  } else {
    wait->second.answer = message;
  }
}

void SoftwareTlb::SayAnswer(uint64_t ev, Answer answer) {
  if (answer == Answer::kKeep || leaving_) return;
  v1::SubscribeRequest request;
  if (answer == Answer::kLetGo) {
    request.mutable_ack()->set_ev(ev);
  } else {
    request.mutable_nack()->set_ev(ev);
  }
  out_.push_back(std::move(request));
}

// --- Uses --------------------------------------------------------------------

absl::Status SoftwareTlb::CheckThere() const {
  if (!end_.ok()) return end_;
  if (ended_ || leaving_) {
    return absl::FailedPreconditionError(
        "the secondary MMU has left or was released; attach again");
  }
  return absl::OkStatus();
}

absl::Status SoftwareTlb::AwaitSafe(absl::Duration until) {
  SIMVISOR_RETURN_IF_ERROR(CheckThere());
  if (lease_->IsSafe(Now())) return absl::OkStatus();
  // A renewal is overdue.  Without one the daemon fences, and the stream ends.
  ++stats_.lapses;
  const auto safe = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return ended_ || leaving_ || lease_->IsSafe(Now());
  };
  if (!mu_.AwaitWithTimeout(absl::Condition(&safe), until - Now())) {
    return absl::DeadlineExceededError("the lease was not renewed in time");
  }
  return CheckThere();
}

absl::StatusOr<MmuEvent> SoftwareTlb::AwaitAnswer(uint64_t req,
                                                  absl::Duration until) {
  const auto answered = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return waits_[req].answer.has_value() || ended_;
  };
  const bool came =
      mu_.AwaitWithTimeout(absl::Condition(&answered), until - Now());
  if (!came) {
    // Its `installed` may still come, and must stay known as older than a drop.
    waits_[req].is_given_up = true;
    return absl::DeadlineExceededError("the daemon did not answer in time");
  }
  Wait wait = std::move(waits_[req]);
  waits_.erase(req);
  if (wait.answer) return *std::move(wait.answer);
  SIMVISOR_RETURN_IF_ERROR(CheckThere());
  return absl::CancelledError("the stream ended");
}

absl::StatusOr<bool> SoftwareTlb::Use(uint64_t pfn, bool write,
                                      absl::FunctionRef<void(uint64_t)> f,
                                      absl::Duration patience) {
  const absl::Duration until = Now() + patience;
  const auto has_place = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return ended_ || waits_.size() < options_.fault_window;
  };
  absl::MutexLock lock(&mu_);
  for (;;) {
    SIMVISOR_RETURN_IF_ERROR(AwaitSafe(until));
    if (const std::optional<uint64_t> mfn = pages_.Use(pfn, write)) {
      f(*mfn);
      return true;
    }
    mu_.Await(absl::Condition(&has_place));
    SIMVISOR_RETURN_IF_ERROR(CheckThere());
    v1::SubscribeRequest request;
    auto& fault = *request.mutable_fault();
    fault.set_req(++last_req_);
    fault.set_pfn(pfn);
    fault.set_write(write);
    fault.set_wait(true);
    const uint64_t req = last_req_;
    waits_[req] = {};
    out_.push_back(std::move(request));
    SIMVISOR_ASSIGN_OR_RETURN(const MmuEvent answer, AwaitAnswer(req, until));
    if (answer.has_not_mapped()) return false;
    if (answer.has_fault_error()) return ToStatus(pfn, answer.fault_error());
  }
}

absl::StatusOr<std::optional<MmuEvent::Accessed>> SoftwareTlb::DoAccess(
    v1::SubscribeRequest::Access access, bool write) {
  // Queued under the lock, hence before the acknowledgement of an event that
  // takes the mapping away.
  uint64_t req = 0;
  const auto send = [&](uint64_t) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    req = ++last_req_;
    access.set_req(req);
    waits_[req] = {};
    v1::SubscribeRequest request;
    *request.mutable_access() = access;
    out_.push_back(std::move(request));
  };
  SIMVISOR_ASSIGN_OR_RETURN(const bool used, Use(access.pfn(), write, send));
  if (!used) return std::nullopt;
  absl::MutexLock lock(&mu_);
  SIMVISOR_ASSIGN_OR_RETURN(MmuEvent answer,
                            AwaitAnswer(req, absl::InfiniteDuration()));
  if (!answer.accessed().reason().empty()) {
    return absl::FailedPreconditionError(
        DescribeError(absl::StrCat("pfn 0x", absl::Hex(access.pfn()),
                                   ": the daemon refuses the access"),
                      "FAILED_PRECONDITION", answer.accessed().reason()));
  }
  return std::move(*answer.mutable_accessed());
}

absl::StatusOr<std::string> SoftwareTlb::Load(uint64_t pfn, uint32_t offset,
                                              uint32_t size) {
  v1::SubscribeRequest::Access access;
  access.set_pfn(pfn);
  access.set_offset_bytes(offset);
  access.set_length_bytes(size);
  SIMVISOR_ASSIGN_OR_RETURN(auto done, DoAccess(std::move(access), false));
  return done ? std::move(*done->mutable_data()) : "";
}

absl::StatusOr<bool> SoftwareTlb::Store(uint64_t pfn, uint32_t offset,
                                        absl::string_view data) {
  v1::SubscribeRequest::Access access;
  access.set_pfn(pfn);
  access.set_offset_bytes(offset);
  access.set_data(std::string(data));
  SIMVISOR_ASSIGN_OR_RETURN(const auto done, DoAccess(std::move(access), true));
  return done.has_value();
}

void SoftwareTlb::Drop(const v1::PfnExtent& pfns) {
  absl::MutexLock lock(&mu_);
  pages_.LetGo(pfns, false);
  for (auto& [req, wait] : waits_) wait.is_void = true;
  v1::SubscribeRequest request;
  *request.mutable_drop()->add_pfns() = pfns;
  out_.push_back(std::move(request));
}

void SoftwareTlb::Detach() {
  absl::MutexLock lock(&mu_);
  if (!ended_ && !leaving_) {
    leaving_ = true;
    pages_.Clear();
    out_.emplace_back().mutable_unregister();
  }
  mu_.Await(absl::Condition(&ended_));
}

bool SoftwareTlb::AwaitEnd(absl::Duration patience) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&ended_), patience);
}

absl::Status SoftwareTlb::End() const {
  absl::MutexLock lock(&mu_);
  return end_;
}

uint64_t SoftwareTlb::subscription() const {
  absl::MutexLock lock(&mu_);
  return subscription_;
}

size_t SoftwareTlb::mapped() const {
  absl::MutexLock lock(&mu_);
  return pages_.size();
}

SoftwareTlb::Stats SoftwareTlb::stats() const {
  absl::MutexLock lock(&mu_);
  return stats_;
}

}  // namespace simvisor::client
