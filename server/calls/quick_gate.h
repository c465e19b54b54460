// Lets one call at a time run on a gRPC thread.
//
// gRPC has at least two threads for the calls of all services, health checks
// included.  However long the call inside the gate takes, the other threads
// keep serving.
//
// Thread safety: thread-safe; no caller waits.

#ifndef SIMVISOR_SERVER_CALLS_QUICK_GATE_H_
#define SIMVISOR_SERVER_CALLS_QUICK_GATE_H_

#include <atomic>

namespace simvisor::server {

class QuickGate {
 public:
  // Holds the gate, if it got it, for its lifetime.
  class Pass {
   public:
    // `gate` outlives this object.
    explicit Pass(QuickGate* gate)
        : gate_(gate->taken_.exchange(true, std::memory_order_acquire) ? nullptr
                                                                       : gate) {
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() {
      if (is_in()) gate_->taken_.store(false, std::memory_order_release);
    }

    bool is_in() const { return gate_ != nullptr; }

   private:
    QuickGate* const gate_;  // null if another call was inside
  };

 private:
  std::atomic<bool> taken_ = false;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_QUICK_GATE_H_
