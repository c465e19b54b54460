#include "tests/simulation/network.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace simvisor::server {

// The source's end of a stream.
class SimStream final : public PeerStream {
 public:
  SimStream(Network* network, Life from, int to)
      : network_(*network), stream_(std::make_shared<Stream>()) {
    stream_->from = from;
    stream_->to = {to, 0};
  }

  void Open() override {
    stream_->to = network_.LifeOf(stream_->to.machine);
    // The machine is dead.
    if (stream_->to.number == 0) {
      Network::Cut(*stream_);
      stream_->target_open = false;
      stream_->target_knows = true;
    }
    network_.streams_.push_back(stream_);
  }
  void Expect(TargetAnswer answer) override { stream_->slot.Expect(answer); }
  bool Write(const SourceMessage& message) override {
    if (stream_->SourceSeesEnd() || !stream_->source_open) return false;
    WireMessage wire{message, ""};
    if (const auto* const offer = std::get_if<OfferMessage>(&message)) {
      stream_->migration_id = offer->migration_id;
      stream_->name = offer->name;
    }
    if (const auto* const data = std::get_if<DataMessage>(&message)) {
      wire.bytes = std::string(data->bytes);
    }
    network_.SendToTarget(stream_, std::move(wire));
    return true;
  }
  bool Flush() override {
    return !stream_->SourceSeesEnd() && stream_->source_open;
  }
  bool Read(TargetMessage& message) override {
    if (!stream_->SourceSeesEnd() && !stream_->slot.has_answer()) {
      stream_->fault =
          MakeError(absl::StatusCode::kAborted, Reason::kCallStalled,
                    "the target moved nothing");
      Cancel();
    }
    if (!stream_->slot.has_answer() || !stream_->fault.ok()) return false;
    stream_->slot.Take();
    message = stream_->answer;
    return true;
  }
  PeerStatus End(Clock::Time::duration) override {
    stream_->source_open = false;
    if (stream_->source_knows) return stream_->end;
    PeerStatus cancelled;
    cancelled.code = absl::StatusCode::kCancelled;
    return cancelled;
  }
  void Cancel() override {
    stream_->source_open = false;
    stream_->source_knows = true;
    if (stream_->end.code == absl::StatusCode::kOk) {
      stream_->end.code = absl::StatusCode::kCancelled;
    }
  }
  absl::Status fault() const override { return stream_->fault; }

 private:
  Network& network_;
  const std::shared_ptr<Stream> stream_;
};

class SimQuestion final : public PeerQuestion {
 public:
  SimQuestion(Network* network, Life from, int to, absl::string_view id)
      : network_(*network), state_(std::make_shared<SimQuestionState>()) {
    state_->from = from;
    state_->to = to;
    state_->id = std::string(id);
  }
  void Ask(Done done) override {
    state_->done = std::move(done);
    if (network_.mistake() == Mistake::kTakesBreakForNo) {
      return Network::Finish(*state_, SourceEvent::kDropped);
    }
    network_.questions_.push_back(state_);
  }
  void Cancel() override { state_->cancelled = true; }

 private:
  Network& network_;
  const std::shared_ptr<SimQuestionState> state_;
};

class SimPeer final : public Peer {
 public:
  SimPeer(Network* network, Life from, int to)
      : network_(*network), from_(from), to_(to) {}
  std::string address() const override { return absl::StrCat("machine ", to_); }
  std::unique_ptr<PeerStream> MakeStream() const override {
    return std::make_unique<SimStream>(&network_, from_, to_);
  }
  std::shared_ptr<PeerQuestion> MakeQuestion(
      absl::string_view id) const override {
    return std::make_shared<SimQuestion>(&network_, from_, to_, id);
  }

 private:
  Network& network_;
  const Life from_;
  const int to_;
};

std::shared_ptr<const Peer> Network::MakePeer(Life from, int to) {
  return std::make_shared<SimPeer>(this, from, to);
}

void Network::SetLife(Life life) {
  lives_[life.machine] = life;
  for (const auto& stream : streams_) {
    if (stream->from.machine == life.machine && stream->from != life) {
      Cut(*stream);
      stream->source_open = false;
      stream->source_knows = true;
    }
    if (stream->to.machine == life.machine && stream->to != life) {
      Cut(*stream);
      stream->target_open = false;
      stream->target_knows = true;
    }
  }
}

template <typename Message>
void Network::Send(std::deque<Message>& queue, Message message, bool is_data) {
  if (!is_data && Chance(random_, faults_.lost)) return;
  const bool again = !is_data && Chance(random_, faults_.repeated);
  if (again) queue.push_back(message);
  queue.push_back(std::move(message));
  if (!is_data && queue.size() > 1 && Chance(random_, faults_.swapped)) {
    std::swap(queue.back(), queue[queue.size() - 2]);
  }
}

void Network::SendToTarget(const std::shared_ptr<Stream>& to,
                           WireMessage message) {
  Stream& stream = *to;
  if (stream.cut) return;
  const bool is_data = std::holds_alternative<DataMessage>(message.message);
  const bool is_commit = std::holds_alternative<CommitMessage>(message.message);
  if (is_data && mistake_ == Mistake::kLosesData && Chance(random_, 20)) return;
  if (is_commit && faults_.repeated > 0 && Chance(random_, 40)) {
    strays_.push_back(to);
  }
  Send(stream.to_target, std::move(message), is_data);
  if (is_commit && mistake_ == Mistake::kTakesCommitForDone) {
    const absl::Status put = stream.slot.Put(TargetAnswer::kCommitted);
    stream.answer.answer = TargetAnswer::kCommitted;
    stream.answer.name = stream.name;
    stream.answer.uuid = uuid_of_(stream.name);
    if (!put.ok()) stream.fault = put;
  }
}

void Network::SendToSource(Stream& stream, TargetMessage message) {
  if (!stream.cut) Send(stream.to_source, std::move(message), false);
}

void Network::DeliverToSource(Stream& stream) {
  TargetMessage message = std::move(stream.to_source.front());
  stream.to_source.pop_front();
  const absl::Status put = stream.slot.Put(message.answer);
  if (put.ok()) {
    stream.answer = std::move(message);
  } else if (stream.fault.ok()) {
    stream.fault = put;
    stream.source_open = false;
  }
}

void Network::Cut(Stream& stream) {
  stream.cut = true;
  stream.to_target.clear();
  stream.to_source.clear();
  if (stream.end.code == absl::StatusCode::kOk) {
    stream.end.code = absl::StatusCode::kUnavailable;
  }
}

void Network::Finish(SimQuestionState& question,
                     const absl::StatusOr<SourceEvent>& answer) {
  question.open = false;
  question.done(answer);
}

void Network::Tidy() {
  std::erase_if(streams_, [](const auto& stream) {
    return !stream->source_open && stream->target_knows;
  });
  std::erase_if(questions_,
                [](const auto& question) { return !question->open; });
}

}  // namespace simvisor::server
