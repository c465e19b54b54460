// A peer in the same process, whose streams and questions run on other threads,
// as gRPC's do.

#ifndef SIMVISOR_TESTS_SERVER_SESSIONS_LOCAL_PEER_H_
#define SIMVISOR_TESTS_SERVER_SESSIONS_LOCAL_PEER_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/error.h"
#include "base/uuid.h"
#include "server/machine/machine.h"
#include "server/sessions/answer_slot.h"
#include "server/sessions/incoming_migrations.h"
#include "server/sessions/outgoing_migrations.h"
#include "server/sessions/peer.h"
#include "server/sessions/resolve.h"
#include "server/sessions/target_session.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

// A machine that sends and receives domains.
struct LocalMachine {
  explicit LocalMachine(std::unique_ptr<Host> host,
                        ImageRestorer::SpecSource specs)
      : machine(std::move(host)),
        spec_of(std::move(specs)),
        incoming(&machine, SystemClock()),
        outgoing(&machine, SystemClock(), [this](std::function<void()> job) {
          pool.Submit(std::move(job));
        }) {}

  Machine machine;
  const ImageRestorer::SpecSource spec_of;
  WorkerPool pool{2};
  IncomingMigrations incoming;
  OutgoingMigrations outgoing;
  AskingThread asking{&outgoing};
};

class LocalStream final : public PeerStream {
 public:
  explicit LocalStream(LocalMachine* target) : target_(*target) {}
  ~LocalStream() override {
    Cancel();
    if (thread_.joinable()) thread_.join();
  }

  void Open() override {
    thread_ = std::thread([this] { Serve(); });
  }
  void Expect(TargetAnswer answer) override {
    absl::MutexLock lock(&mu_);
    slot_.Expect(answer);
  }
  bool Write(const SourceMessage& message) override {
    absl::MutexLock lock(&mu_);
    if (over_) return false;
    auto& [kept, bytes] = messages_.emplace_back(message, "");
    if (const auto* const data = std::get_if<DataMessage>(&message)) {
      bytes = std::string(data->bytes);
    }
    return true;
  }
  bool Flush() override {
    absl::MutexLock lock(&mu_);
    return !over_;
  }
  bool Read(TargetMessage& message) override {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &LocalStream::HasAnswer));
    if (!slot_.has_answer() || !fault_.ok()) return false;
    slot_.Take();
    message = answer_;
    return true;
  }
  PeerStatus End(Clock::Time::duration) override {
    Cancel();
    thread_.join();
    absl::MutexLock lock(&mu_);
    return end_;
  }
  // Messages on their way still arrive.
  void Cancel() override {
    absl::MutexLock lock(&mu_);
    over_ = true;
    if (end_.code == absl::StatusCode::kOk) {
      end_.code = absl::StatusCode::kCancelled;
    }
  }
  absl::Status fault() const override {
    absl::MutexLock lock(&mu_);
    return fault_;
  }

 private:
  bool HasAnswer() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return slot_.has_answer() || over_ || !fault_.ok();
  }
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !messages_.empty() || over_ || !interrupted_.ok();
  }

  // The target's end.
  void Serve() ABSL_LOCKS_EXCLUDED(mu_) {
    TargetSession session(&target_.machine, &target_.incoming, target_.spec_of,
                          [this](const absl::Status& why) { Interrupt(why); });
    session.End(Converse(session));
    Cancel();
  }
  void Interrupt(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    interrupted_ = why;
  }
  absl::Status Converse(TargetSession& session) ABSL_LOCKS_EXCLUDED(mu_) {
    auto next = absl::StatusOr<TargetSession::Next>(TargetSession::Next::kRead);
    while (next.ok() && *next != TargetSession::Next::kEnd) {
      if (*next == TargetSession::Next::kAnswer) {
        Say(session);
        next = session.Sent();
        continue;
      }
      std::pair<SourceMessage, std::string> message;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(this, &LocalStream::HasWork));
        if (!interrupted_.ok()) return interrupted_;
        if (messages_.empty()) return absl::CancelledError("over");
        message = std::move(messages_.front());
        messages_.pop_front();
      }
      if (auto* const data = std::get_if<DataMessage>(&message.first)) {
        data->bytes = message.second;
      }
      next = session.Take(message.first, NeverStop);
    }
    return next.status();
  }
  void Say(const TargetSession& session) ABSL_LOCKS_EXCLUDED(mu_) {
    TargetMessage answer;
    answer.answer = session.answer();
    if (answer.answer == TargetAnswer::kCommitted) {
      const DomainInfo info = session.domain()->Info();
      answer.name = info.name;
      answer.uuid = UuidToString(info.uuid);
    }
    absl::MutexLock lock(&mu_);
    const absl::Status put = slot_.Put(answer.answer);
    if (put.ok()) {
      answer_ = std::move(answer);
    } else {
      fault_ = put;
    }
  }

  LocalMachine& target_;
  std::thread thread_;
  mutable absl::Mutex mu_;
  std::deque<std::pair<SourceMessage, std::string>> messages_
      ABSL_GUARDED_BY(mu_);
  AnswerSlot slot_ ABSL_GUARDED_BY(mu_);
  TargetMessage answer_ ABSL_GUARDED_BY(mu_);
  absl::Status fault_ ABSL_GUARDED_BY(mu_);
  absl::Status interrupted_ ABSL_GUARDED_BY(mu_);
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  PeerStatus end_ ABSL_GUARDED_BY(mu_);
};

class LocalQuestion final : public PeerQuestion {
 public:
  LocalQuestion(LocalMachine* target, absl::string_view id)
      : target_(*target), id_(id) {}

  void Ask(Done done) override {
    target_.pool.Submit([target = &target_, id = id_, done = std::move(done)] {
      const auto decided = Resolve(target->outgoing, target->incoming, id,
                                   MigrationDecision::kDropUnlessCommitted);
      QuestionAnswer answer;
      answer.id = id;
      answer.status.code = decided.status().code();
      if (decided.ok()) {
        answer.state = std::get<IncomingRecord>(*decided).state;
      } else if (ReasonOf(decided.status()) ==
                 ReasonName(Reason::kMigrationNotFound)) {
        answer.status.reason = Reason::kMigrationNotFound;
      }
      done(EventOf(answer, id, "there"));
    });
  }
  void Cancel() override {}

 private:
  LocalMachine& target_;
  const std::string id_;
};

class LocalPeer final : public Peer {
 public:
  explicit LocalPeer(LocalMachine* target) : target_(*target) {}
  std::string address() const override { return "there"; }
  std::unique_ptr<PeerStream> MakeStream() const override {
    return std::make_unique<LocalStream>(&target_);
  }
  std::shared_ptr<PeerQuestion> MakeQuestion(
      absl::string_view id) const override {
    return std::make_shared<LocalQuestion>(&target_, id);
  }

 private:
  LocalMachine& target_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SERVER_SESSIONS_LOCAL_PEER_H_
