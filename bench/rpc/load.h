// Loads a daemon with calls of one unary method: a given number in all, from
// one client or several, each with a given number in flight.
//
// Each client is a thread that waits on its own completion queue, on the
// connection that it is given; when a call ends it starts the next one at once.
// This costs the client the least (5 to 13 us of processor time per call); on a
// small machine the daemon lacks the time that the client takes.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_BENCH_RPC_LOAD_H_
#define SIMVISOR_BENCH_RPC_LOAD_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_unary_call.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/rpc/connections.h"
#include "bench/rpc/load_state.h"
#include "client/api/error.h"

namespace simvisor::bench {

// What to call, and how.
template <typename Stub, typename Request, typename Response>
struct Load {
  using Start = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (
      Stub::*)(grpc::ClientContext*, const Request&, grpc::CompletionQueue*);

  // Used in messages.
  std::string name;
  // The stub's Async method.
  Start start;
  // Total of all clients.
  uint64_t calls = 0;
  // Per client.
  int in_flight = 1;
  // Turns the request of an earlier call into that of call number i; if null,
  // the request is left unchanged.  Called from all clients' threads, as is
  // `take`.
  std::function<void(uint64_t, Request&)> fill;
  // Checks the response of call number i, if not null.
  std::function<absl::Status(uint64_t, const Response&)> take;
};

// The results of a load.
struct Outcome {
  double seconds = 0;
  // One entry per call, in no particular order.
  std::vector<double> micros;

  // Calls per second.
  double rate() const { return static_cast<double>(micros.size()) / seconds; }
};

// One client of a load.
template <typename Stub, typename Request, typename Response>
class LoadClient {
 public:
  LoadClient(const Load<Stub, Request, Response>& load,
             const std::shared_ptr<grpc::Channel>& channel, LoadState* state)
      : load_(load), stub_(channel), state_(state) {}
  LoadClient(const LoadClient&) = delete;
  LoadClient& operator=(const LoadClient&) = delete;

  // Makes calls until no more are left.
  void Run() {
    std::vector<Slot> slots(static_cast<size_t>(load_.in_flight));
    int open = 0;
    for (Slot& slot : slots) open += Begin(slot) ? 1 : 0;
    void* tag = nullptr;
    bool ok = false;
    while (open > 0 && queue_.Next(&tag, &ok)) {
      Slot& slot = *static_cast<Slot*>(tag);
      End(slot);
      if (!Begin(slot)) --open;
    }
    queue_.Shutdown();
    while (queue_.Next(&tag, &ok)) {
    }
  }

  std::vector<double>& micros() { return micros_; }

 private:
  using Clock = std::chrono::steady_clock;

  // A missing answer must not block the bench forever.
  static constexpr auto kLimit = std::chrono::seconds(60);

  // One call in flight.
  struct Slot {
    uint64_t number = 0;
    std::optional<grpc::ClientContext> context;
    Request request;
    Response response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
    Clock::time_point began;
  };

  bool Begin(Slot& slot) {
    const std::optional<uint64_t> number = state_->Take();
    if (!number) return false;
    slot.number = *number;
    if (load_.fill) load_.fill(slot.number, slot.request);
    slot.reader = nullptr;
    slot.context.emplace();
    slot.context->set_deadline(std::chrono::system_clock::now() + kLimit);
    slot.began = Clock::now();
    slot.reader = (stub_.*load_.start)(&*slot.context, slot.request, &queue_);
    slot.reader->Finish(&slot.response, &slot.status, &slot);
    return true;
  }

  void End(const Slot& slot) {
    const std::chrono::duration<double, std::micro> took =
        Clock::now() - slot.began;
    micros_.push_back(took.count());
    absl::Status status = client::FromGrpc(slot.status, "simvisord");
    if (status.ok() && load_.take) {
      status = load_.take(slot.number, slot.response);
    }
    if (status.ok()) return;
    state_->Note(absl::Status(
        status.code(), absl::StrCat(load_.name, ", call ", slot.number, ": ",
                                    client::Describe(status))));
  }

  const Load<Stub, Request, Response>& load_;
  Stub stub_;
  LoadState* const state_;
  grpc::CompletionQueue queue_;
  std::vector<double> micros_;
};

// Runs `load` with one client on each of `connections`.  Returns the error of
// the first call that failed.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Outcome> Run(const Connections& connections,
                            const Load<Stub, Request, Response>& load) {
  using Client = LoadClient<Stub, Request, Response>;
  LoadState state(load.calls);
  std::vector<std::unique_ptr<Client>> clients;
  for (const auto& channel : connections) {
    clients.push_back(std::make_unique<Client>(load, channel, &state));
  }
  const auto began = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 1; i < clients.size(); ++i) {
    threads.emplace_back([client = clients[i].get()] { client->Run(); });
  }
  clients[0]->Run();
  for (std::thread& thread : threads) thread.join();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - began;
  if (!state.status().ok()) return state.status();
  Outcome outcome;
  outcome.seconds = took.count();
  for (const auto& client : clients) {
    outcome.micros.insert(outcome.micros.end(), client->micros().begin(),
                          client->micros().end());
  }
  return outcome;
}

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_RPC_LOAD_H_
