// The messages of a StreamMemoryOps call while the server holds them.
//
// Each lives in an arena of its own, since a batch is parsed on one thread,
// read by others, and given up as a whole.  Weights are estimates in bytes of
// what a message takes in memory; they bound what a stream may hold.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_SERVER_MEMORY_MEMORY_OP_BATCH_H_
#define SIMVISOR_SERVER_MEMORY_MEMORY_OP_BATCH_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/arena.h"
#include "server/calls/message_budget.h"
#include "server/calls/rpc_status.h"
#include "simvisor/v1/memory_ops.pb.h"

namespace simvisor::server {

inline constexpr size_t kMaxOpsPerMessage = 4096;

// Operations as they came in one message.
class MemoryOpBatch {
 public:
  MemoryOpBatch()
      : request_(
            google::protobuf::Arena::CreateMessage<v1::StreamMemoryOpsRequest>(
                &arena_)) {}
  MemoryOpBatch(const MemoryOpBatch&) = delete;
  MemoryOpBatch& operator=(const MemoryOpBatch&) = delete;

  // Takes the operations out of a message as it came; to be called once.
  // INVALID_ARGUMENT: ARGUMENT_TOO_LARGE for more than kMaxOpsPerMessage of
  // them, which is found without parsing them, ARGUMENT_MALFORMED for what is
  // no message.
  // Counted in `budget` until this object goes; errors as Add() of that, too.
  absl::Status Parse(MessageBudget& budget, grpc::ByteBuffer& message);
  const auto& ops() const { return request_->ops(); }
  size_t size() const { return request_->ops_size(); }

  // Of the operations and of what they will answer.
  uint64_t Weight() const {
    uint64_t weight = 0;
    for (const v1::MemoryOp& op : request_->ops()) {
      weight += kOpWeight + op.write().data().size() +
                kPfnWeight * op.translate().pfns_size();
    }
    return weight;
  }

 private:
  static constexpr uint64_t kOpWeight = 256;
  static constexpr uint64_t kPfnWeight = 20;

  MessageBudget::Charge charge_;
  google::protobuf::Arena arena_;
  v1::StreamMemoryOpsRequest* const request_;
};

// Results as they leave in one message.
class MemoryOpReply {
 public:
  MemoryOpReply()
      : response_(
            google::protobuf::Arena::CreateMessage<v1::StreamMemoryOpsResponse>(
                &arena_)) {}
  MemoryOpReply(const MemoryOpReply&) = delete;
  MemoryOpReply& operator=(const MemoryOpReply&) = delete;

  // Counts what has been added in `budget`, until this object goes.
  void CountIn(MessageBudget& budget) {
    budget.AddAlways(weight_ - charge_.bytes(), &charge_);
  }
  // The message to write, which stays with this object.  To be called once.
  const grpc::ByteBuffer* Serialize(MessageBudget& budget);
  bool empty() const { return response_->results().empty(); }
  uint64_t weight() const { return weight_; }
  // Operations that it answers; a reply to a message of none counts as one.
  size_t CountedAs() const {
    return empty() ? 1 : static_cast<size_t>(response_->results_size());
  }
  // Whether another result would make the message too large.
  bool full() const {
    return weight_ >= kMaxWeight ||
           response_->results_size() >= static_cast<int>(kMaxOpsPerMessage);
  }

  // Adds a result for the caller to fill in.
  v1::MemoryOpResult* Begin(const v1::MemoryOp& op) {
    v1::MemoryOpResult* const result = response_->add_results();
    result->set_id(op.id());
    return result;
  }
  // The result that was begun is an error.
  static void Fail(const absl::Status& status, v1::MemoryOpResult* result) {
    v1::MemoryOpError* const error = result->mutable_error();
    error->set_code(absl::StatusCodeToString(status.code()));
    error->set_reason(ToldReason(status));
    error->set_message(ToldMessage(status));
  }
  // The result that was begun is filled in.
  void End(const v1::MemoryOpResult& result) {
    weight_ += kResultWeight + result.error().message().size() +
               kFrameWeight * result.translate().frames_size();
  }

  // Takes over the results of `other`, behind the own ones, if there are few;
  // false if not.
  bool Absorb(const MemoryOpReply& other) {
    const int count = other.response_->results_size();
    if (count == 0 || empty() || count > kFew ||
        response_->results_size() > kFew * kFew ||
        weight_ + other.weight_ > kMaxWeight) {
      return false;
    }
    response_->MergeFrom(*other.response_);
    weight_ += other.weight_;
    return true;
  }

 private:
  // Messages may have 4 MiB; one result adds 0.8 MiB at most.
  static constexpr uint64_t kMaxWeight = uint64_t{1} << 20;
  static constexpr uint64_t kResultWeight = 256;
  static constexpr uint64_t kFrameWeight = 12;
  // Copying so many costs less than another message.
  static constexpr int kFew = 32;

  MessageBudget::Charge charge_;
  google::protobuf::Arena arena_;
  v1::StreamMemoryOpsResponse* const response_;
  grpc::ByteBuffer serialized_;
  uint64_t weight_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_MEMORY_OP_BATCH_H_
