// A daemon that gives canned answers to any method, and records the requests.
//
// Answers and records are in protobuf's text format, so that a test shows both
// sides of a call as text.
//
// Thread safety: thread-safe.

#ifndef SIMVISOR_TESTS_CLIENT_VERBS_FAKE_DAEMON_H_
#define SIMVISOR_TESTS_CLIENT_VERBS_FAKE_DAEMON_H_

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/server.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/status.h"

namespace simvisor::client {

class FakeDaemon : public grpc::CallbackGenericService {
 public:
  // Listens at `address`.
  explicit FakeDaemon(const std::string& address);
  ~FakeDaemon() override;
  FakeDaemon(const FakeDaemon&) = delete;
  FakeDaemon& operator=(const FakeDaemon&) = delete;

  // Answers the next request of `method`, such as "GetDomain", with
  // `responses`; the last of several answers serves all later requests.  A
  // method without an answer is UNIMPLEMENTED.
  void Answer(const std::string& method,
              std::vector<std::string> responses = {""})
      ABSL_LOCKS_EXCLUDED(mu_);
  // The same, with an error after `responses`; without ErrorInfo if `reason`
  // is empty.
  void Refuse(const std::string& method, grpc::StatusCode code,
              const std::string& reason, const std::string& message,
              std::vector<std::string> responses = {}) ABSL_LOCKS_EXCLUDED(mu_);
  // The same for a request whose `field` is malformed, as the daemon says it.
  void RefuseField(const std::string& method, const std::string& field,
                   const std::string& problem) ABSL_LOCKS_EXCLUDED(mu_);
  // Never answers requests of `method` that come from now on.
  void Ignore(const std::string& method) ABSL_LOCKS_EXCLUDED(mu_);
  // Removes all answers of `method`.
  void Forget(const std::string& method) ABSL_LOCKS_EXCLUDED(mu_);

  // The requests since the last call, as "GetDomain domain { domid: 2 }".
  std::vector<std::string> TakeRequests() ABSL_LOCKS_EXCLUDED(mu_);

  void Shutdown() { server_->Shutdown(); }

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

 private:
  class Call;

  struct Reply {
    std::vector<std::string> responses;
    grpc::Status status;
  };

  bool Ignores(absl::string_view path) ABSL_LOCKS_EXCLUDED(mu_);
  void Add(const std::string& method, Reply reply) ABSL_LOCKS_EXCLUDED(mu_);
  // Records a request of the method `path`; returns its responses, serialized.
  grpc::Status Take(const std::string& path, const grpc::ByteBuffer& request,
                    std::deque<grpc::ByteBuffer>& responses)
      ABSL_LOCKS_EXCLUDED(mu_);

  std::unique_ptr<grpc::Server> server_;

  absl::Mutex mu_;
  std::map<std::string, std::deque<Reply>> replies_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> ignored_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mu_);
};

}  // namespace simvisor::client

#endif  // SIMVISOR_TESTS_CLIENT_VERBS_FAKE_DAEMON_H_
