// Messages as bytes: what gRPC hands over and takes.
//
// gRPC could parse requests itself, but would answer one that cannot be parsed
// with an empty UNIMPLEMENTED, or take it for the end of its stream.  So all
// methods get bytes; here they become messages, and messages become bytes, and
// both are counted in the budget.
//
// Thread safety: functions may be called from any thread; a TakenMessage is
// thread-compatible.

#ifndef SIMVISOR_SERVER_CALLS_RAW_MESSAGE_H_
#define SIMVISOR_SERVER_CALLS_RAW_MESSAGE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "server/calls/message_budget.h"

namespace simvisor::server {

// What a message may hold beside strings and packed numbers, whatever its type:
// fields and elements of lists, those of messages in it too.  It is several
// times what the API's lists may have.
inline constexpr uint64_t kMaxElements = uint64_t{4} << 16;

// INVALID_ARGUMENT ARGUMENT_MALFORMED: `bytes` are no message of that type.
absl::Status MessageMalformed(absl::string_view method, absl::string_view type);

// Parses `bytes`, which are given up, into `message`, which is empty and lives
// in `arena`, and adds both to `charge`.
//
// INVALID_ARGUMENT: ARGUMENT_MALFORMED for what is no message, or has text that
// is not UTF-8, by the field; ARGUMENT_TOO_LARGE for more than kMaxElements,
// since an element of two bytes may take a hundred once it is parsed.  Else as
// MessageBudget::Add().
absl::Status ReadMessage(MessageBudget& budget, absl::string_view method,
                         grpc::ByteBuffer& bytes,
                         const google::protobuf::Arena& arena,
                         google::protobuf::Message& message,
                         MessageBudget::Charge& charge);

// Puts the bytes of `message` into `bytes`; they are counted until gRPC gives
// them up.  Never refused if they are small, else as MessageBudget::Add().
absl::Status WriteMessage(MessageBudget& budget, absl::string_view method,
                          const google::protobuf::Message& message,
                          grpc::ByteBuffer& bytes);

// The same without refusal, for what must not be lost and is bounded otherwise.
void WriteMessageAlways(MessageBudget& budget,
                        const google::protobuf::Message& message,
                        grpc::ByteBuffer& bytes);

// A message of a stream while the server works on it.
template <typename Message>
class TakenMessage {
 public:
  TakenMessage() = default;
  TakenMessage(const TakenMessage&) = delete;
  TakenMessage& operator=(const TakenMessage&) = delete;

  // Takes the next one; errors as ReadMessage(), and then there is none.
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

  // REQUIRES: there is one.
  const Message& operator*() const { return *message_; }
  const Message* operator->() const { return message_; }

  // Gives it up; what it was charged may be kept for what was made of it.
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
