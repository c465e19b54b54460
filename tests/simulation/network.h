// The network between the machines of a simulation: the streams of migrations,
// and questions about them.
//
// A stream delivers its messages in order and with delay, as a connection
// does.  It can be cut: messages on their way are then lost, and each end
// learns of it at a different time.  Messages other than data may also be lost,
// repeated or swapped.

#ifndef SIMVISOR_TESTS_SIMULATION_NETWORK_H_
#define SIMVISOR_TESTS_SIMULATION_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/sessions/answer_slot.h"
#include "server/sessions/messages.h"
#include "server/sessions/peer.h"
#include "tests/simulation/mistakes.h"
#include "tests/simulation/sim_guest.h"

namespace simvisor::server {

// One life of a machine, from its start to its death.
struct Life {
  int machine = 0;
  uint64_t number = 0;

  friend auto operator<=>(const Life&, const Life&) = default;
};

struct WireMessage {
  SourceMessage message;
  std::string bytes;  // of data
};

struct Stream {
  Life from, to;
  // Set once the offer was sent.
  std::string migration_id;
  std::string name;
  std::deque<WireMessage> to_target;
  std::deque<TargetMessage> to_source;

  bool cut = false;
  bool source_open = true;  // the source has not ended or cancelled it
  bool target_open = true;
  bool source_knows = false;  // the source knows that it has ended
  bool target_knows = false;
  PeerStatus end;  // the status that the source gets

  // The source's end.
  AnswerSlot slot;
  TargetMessage answer;
  absl::Status fault;

  bool SourceSeesEnd() const { return source_knows || !fault.ok(); }
  // Whether a source that waits for an answer can go on.
  bool SourceMayGoOn() const { return slot.has_answer() || SourceSeesEnd(); }
};

struct SimQuestionState {
  Life from;
  int to = 0;
  std::string id;
  PeerQuestion::Done done;
  bool open = true;  // not answered yet
  bool cancelled = false;
  std::optional<QuestionAnswer> answer;  // on its way back
};

struct NetworkFaults {
  // Percent of the messages that are not data.
  uint64_t lost = 0;
  uint64_t repeated = 0;
  uint64_t swapped = 0;
};

class Network {
 public:
  // `uuid_of` returns the uuid of a guest.
  Network(Random* random, Mistake mistake,
          std::function<std::string(const std::string& name)> uuid_of)
      : random_(*random), mistake_(mistake), uuid_of_(std::move(uuid_of)) {}

  void SetFaults(const NetworkFaults& faults) { faults_ = faults; }
  // Starts a machine's life; number 0 means that it is dead.
  void SetLife(Life life);
  Life LifeOf(int machine) const { return lives_[machine]; }
  Random& random() { return random_; }
  Mistake mistake() const { return mistake_; }

  // A peer as `from` sees it.
  std::shared_ptr<const Peer> MakePeer(Life from, int to);

  // Sends a message, to which the faults may happen.
  void SendToTarget(const std::shared_ptr<Stream>& to, WireMessage message);
  void SendToSource(Stream& stream, TargetMessage message);
  // Delivers the first answer that is on its way.
  void DeliverToSource(Stream& stream);
  // Cuts the stream: nothing more arrives at either end.
  static void Cut(Stream& stream);
  // Delivers the answer to a question, or an error.
  static void Finish(SimQuestionState& question,
                     const absl::StatusOr<SourceEvent>& answer);

  std::vector<std::shared_ptr<Stream>>& streams() { return streams_; }
  std::vector<std::shared_ptr<SimQuestionState>>& questions() {
    return questions_;
  }
  // Streams whose COMMIT will arrive once more, some time later.
  std::vector<std::shared_ptr<Stream>>& stray_commits() { return strays_; }
  // Removes streams that both ends are done with, and closed questions.
  void Tidy();

 private:
  friend class SimStream;
  friend class SimQuestion;

  template <typename Message>
  void Send(std::deque<Message>& queue, Message message, bool is_data);

  Random& random_;
  const Mistake mistake_;
  const std::function<std::string(const std::string&)> uuid_of_;
  NetworkFaults faults_;
  std::vector<Life> lives_{{0, 0}, {1, 0}};
  std::vector<std::shared_ptr<Stream>> streams_;
  std::vector<std::shared_ptr<SimQuestionState>> questions_;
  std::vector<std::shared_ptr<Stream>> strays_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_TESTS_SIMULATION_NETWORK_H_
