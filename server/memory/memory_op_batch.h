// The messages of a StreamMemoryOps call.
//
// Each has its own arena, since a batch is parsed on one thread, read by
// others, and freed as a whole.  Weights estimate the memory of a message in
// bytes; they bound what a stream may hold.
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

// The operations of one message.
class MemoryOpBatch {
 public:
  MemoryOpBatch()
      : request_(
            google::protobuf::Arena::CreateMessage<v1::StreamMemoryOpsRequest>(
                &arena_)) {}
  MemoryOpBatch(const MemoryOpBatch&) = delete;
  MemoryOpBatch& operator=(const MemoryOpBatch&) = delete;

  // Parses the operations of a message.  The memory is charged to `budget` for
  // the lifetime of this object.
  //
  // INVALID_ARGUMENT: ARGUMENT_TOO_LARGE for more than kMaxOpsPerMessage
  // operations, which are counted without being parsed; ARGUMENT_MALFORMED if
  // the bytes are not such a message.  Also the errors of MessageBudget::Add().
  // REQUIRES: not called before.
  absl::Status Parse(MessageBudget& budget, grpc::ByteBuffer& message);
  const auto& ops() const { return request_->ops(); }
  size_t size() const { return request_->ops_size(); }

  // Of the operations and their results.
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

// The results of one message.
class MemoryOpReply {
 public:
  MemoryOpReply()
      : response_(
            google::protobuf::Arena::CreateMessage<v1::StreamMemoryOpsResponse>(
                &arena_)) {}
  MemoryOpReply(const MemoryOpReply&) = delete;
  MemoryOpReply& operator=(const MemoryOpReply&) = delete;

  // Charges what has been added to `budget`, for the lifetime of this object.
  void CountIn(MessageBudget& budget) {
    budget.AddAlways(weight_ - charge_.bytes(), &charge_);
  }
  // The message to write, owned by this object.
  // REQUIRES: not called before.
  const grpc::ByteBuffer* Serialize(MessageBudget& budget);
  bool empty() const { return response_->results().empty(); }
  uint64_t weight() const { return weight_; }
  // The number of operations that it answers; a reply to an empty message
  // counts as one.
  size_t CountedAs() const {
    return empty() ? 1 : static_cast<size_t>(response_->results_size());
  }
  // Whether another result would make the message too large.
  bool full() const {
    return weight_ >= kMaxWeight ||
           response_->results_size() >= static_cast<int>(kMaxOpsPerMessage);
  }

  // Adds a result, which the caller fills in.
  v1::MemoryOpResult* Begin(const v1::MemoryOp& op) {
    v1::MemoryOpResult* const result = response_->add_results();
    result->set_id(op.id());
    return result;
  }
  // Fills in an error as the result.
  static void Fail(const absl::Status& status, v1::MemoryOpResult* result) {
    v1::MemoryOpError* const error = result->mutable_error();
    error->set_code(absl::StatusCodeToString(status.code()));
    error->set_reason(ToldReason(status));
    error->set_message(ToldMessage(status));
    TellFacts(status, error->mutable_metadata());
  }
  // Adds the weight of a result that has been filled in.
  void End(const v1::MemoryOpResult& result) {
    weight_ += kResultWeight + result.error().ByteSizeLong() +
               kFrameWeight * result.translate().frames_size();
  }

  // Appends the results of `other` if there are few; false if not.
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
  // Messages may have 4 MiB; one result has at most 0.8 MiB.
  static constexpr uint64_t kMaxWeight = uint64_t{1} << 20;
  static constexpr uint64_t kResultWeight = 256;
  static constexpr uint64_t kFrameWeight = 12;
  // Copying this many costs less than another message.
  static constexpr int kFew = 32;

  MessageBudget::Charge charge_;
  google::protobuf::Arena arena_;
  v1::StreamMemoryOpsResponse* const response_;
  grpc::ByteBuffer serialized_;
  uint64_t weight_ = 0;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_MEMORY_OP_BATCH_H_
