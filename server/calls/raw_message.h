// Converts messages from and to the bytes that gRPC passes.
//
// gRPC could parse requests itself, but it would answer one that cannot be
// parsed with an empty UNIMPLEMENTED, or take it for the end of the stream.  So
// all methods exchange bytes; the functions here parse and serialise them, and
// charge both to the message budget.
//
// Thread safety: functions may be called from any thread; a TakenMessage is
// thread-compatible.

#ifndef SIMVISOR_SERVER_CALLS_RAW_MESSAGE_H_
#define SIMVISOR_SERVER_CALLS_RAW_MESSAGE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cassert>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "server/calls/message_budget.h"

namespace simvisor::server {

// Most fields and list elements that a message may have, nested messages
// included, not counting strings and packed numbers.  Several times the length
// of the longest list that the API takes.
inline constexpr uint64_t kMaxElements = uint64_t{4} << 16;

// INVALID_ARGUMENT ARGUMENT_MALFORMED: the bytes are not a message of that
// type.
absl::Status MessageMalformed(absl::string_view method, absl::string_view type);

// Parses `bytes` into `message`, which is empty and lives in `arena`, clears
// `bytes`, and adds both to `charge`.
//
// INVALID_ARGUMENT ARGUMENT_MALFORMED if the bytes are not such a message, or
// if text in it is not UTF-8 (the error names the field); INVALID_ARGUMENT
// ARGUMENT_TOO_LARGE for more than kMaxElements, since an element of two bytes
// may take a hundred once it is parsed.  Otherwise as MessageBudget::Add().
absl::Status ReadMessage(MessageBudget& budget, absl::string_view method,
                         grpc::ByteBuffer& bytes,
                         const google::protobuf::Arena& arena,
                         google::protobuf::Message& message,
                         MessageBudget::Charge& charge);

// Serialises `message` into `bytes`, which are charged to the budget until gRPC
// releases them.  Never fails for a small message, else as
// MessageBudget::Add().
absl::Status WriteMessage(MessageBudget& budget, absl::string_view method,
                          const google::protobuf::Message& message,
                          grpc::ByteBuffer& bytes);

// The same, but never fails: for messages that must not be lost and are bounded
// in another way.
void WriteMessageAlways(MessageBudget& budget,
                        const google::protobuf::Message& message,
                        grpc::ByteBuffer& bytes);

// A message of a stream that the server is working on.
template <typename Message>
class TakenMessage {
 public:
  TakenMessage() = default;
  TakenMessage(const TakenMessage&) = delete;
  TakenMessage& operator=(const TakenMessage&) = delete;

  // Takes the next message.  Errors: as ReadMessage(); no message is held then.
  absl::Status Take(MessageBudget& budget, absl::string_view method,
                    grpc::ByteBuffer& bytes) {
    Clear();
    arena_.emplace();
    message_ = google::protobuf::Arena::CreateMessage<Message>(&*arena_);
    const absl::Status status =
        ReadMessage(budget, method, bytes, *arena_, *message_, charge_);
    if (!status.ok()) Clear();
    return status;
  }

  // REQUIRES: a message is held.
  const Message& operator*() const {
    assert(message_ != nullptr);
    return *message_;
  }
  const Message* operator->() const {
    assert(message_ != nullptr);
    return message_;
  }

  // Releases the message.  TakeCharge() before it keeps the charge for what was
  // made of the message.
  void Clear() {
    message_ = nullptr;
    arena_.reset();
    charge_.Release();
  }
  MessageBudget::Charge TakeCharge() { return std::move(charge_); }

 private:
  std::optional<google::protobuf::Arena> arena_;
  Message* message_ = nullptr;  // in the arena
  MessageBudget::Charge charge_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_RAW_MESSAGE_H_
