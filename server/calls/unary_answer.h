// The end of a unary call: holds its place among the open calls, and its
// answer, until gRPC has sent or dropped it.
//
// Thread safety: thread-compatible; gRPC calls OnDone() last.

#ifndef SIMVISOR_SERVER_CALLS_UNARY_ANSWER_H_
#define SIMVISOR_SERVER_CALLS_UNARY_ANSWER_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "server/calls/message_budget.h"
#include "server/calls/open_calls.h"
#include "server/calls/unsent_answers.h"

namespace simvisor::server {

// What gRPC passes to a unary method.
struct RawUnary {
  grpc::CallbackServerContext* context;
  const grpc::ByteBuffer* request;
  grpc::ByteBuffer* response;
};

class UnaryAnswer : public grpc::ServerUnaryReactor {
 public:
  UnaryAnswer(MessageBudget& budget, grpc::CallbackServerContext* context)
      : budget_(budget), unsent_(context) {}

  // Takes a place for the call until its answer has been sent.
  absl::Status Enter(OpenCalls& open_calls, const char* method);

  // Finishes the call with `status`, and if that is OK with `answer`, which
  // gRPC already has.
  void Send(const absl::Status& status, const grpc::ByteBuffer& answer);

  void OnDone() override { delete this; }

 protected:
  // Has gRPC call OnDone() inline, as for gRPC's own default reactor: OnDone()
  // does little, and a hop to another thread would slow each call down.
  bool InternalInlineable() override { return true; }

 private:
  MessageBudget& budget_;
  UnsentAnswers::Entry unsent_;
  OpenCalls::Place place_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_UNARY_ANSWER_H_
