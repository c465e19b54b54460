// Bounds the memory that the messages of all calls take together.
//
// A request counts from when it is parsed until its method has ended, even if
// the client has gone by then.  An answer counts from when it is made until
// gRPC has passed it to the kernel, which may never happen if the client does
// not read.
//
// The last parts of the budget are reserved for small messages, so that short
// calls get through while large ones are refused: messages up to kSmallBytes
// may use all of it, those up to kMediumBytes three quarters, larger ones one
// half.
//
// Thread safety: thread-safe; a Charge is thread-compatible.

#ifndef SIMVISOR_SERVER_CALLS_MESSAGE_BUDGET_H_
#define SIMVISOR_SERVER_CALLS_MESSAGE_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/calls/unsent_answers.h"

namespace simvisor::server {

class MessageBudget {
 public:
  static constexpr uint64_t kDefaultBytes = uint64_t{256} << 20;
  static constexpr uint64_t kSmallBytes = uint64_t{4} << 10;
  static constexpr uint64_t kMediumBytes = uint64_t{64} << 10;

  // A part of the budget, returned when this object is destroyed.  May outlive
  // the budget, since gRPC may release the last answers after the server is
  // gone.
  class Charge {
   public:
    Charge() = default;
    Charge(Charge&& other) noexcept
        : used_(std::move(other.used_)),
          bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&& other) noexcept {
      Release();
      used_ = std::move(other.used_);
      bytes_ = std::exchange(other.bytes_, 0);
      return *this;
    }
    ~Charge() { Release(); }

    uint64_t bytes() const { return bytes_; }
    void Release() {
      if (bytes_ > 0) used_->fetch_sub(bytes_, std::memory_order_relaxed);
      bytes_ = 0;
    }

   private:
    friend class MessageBudget;
    std::shared_ptr<std::atomic<uint64_t>> used_;
    uint64_t bytes_ = 0;
  };

  explicit MessageBudget(uint64_t limit = kDefaultBytes,
                         absl::Duration patience = UnsentAnswers::kPatience)
      : limit_(limit),
        used_(std::make_shared<std::atomic<uint64_t>>(0)),
        unsent_(patience) {}
  MessageBudget(const MessageBudget&) = delete;
  MessageBudget& operator=(const MessageBudget&) = delete;

  // Adds `bytes` to `charge`, which is empty or charged to this budget.  Fails
  // without changing `charge`: RESOURCE_EXHAUSTED MESSAGE_MEMORY_EXHAUSTED,
  // with `what` named in the message, if there is no room for a charge of that
  // size.  It then cancels calls whose clients have not read their answers for
  // long, so that there may be room soon.
  absl::Status Add(absl::string_view what, uint64_t bytes, Charge* charge);

  // The same without a limit, for messages that must not be refused, such as
  // the short answer of a method that has done its work.
  void AddAlways(uint64_t bytes, Charge* charge);

  uint64_t used() const { return used_->load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_; }
  UnsentAnswers& unsent() { return unsent_; }

 private:
  const uint64_t limit_;
  // Charges share it.
  const std::shared_ptr<std::atomic<uint64_t>> used_;
  UnsentAnswers unsent_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_MESSAGE_BUDGET_H_
