// What all calls of a server share: the machine that they work on, the threads
// that they run on, the counts of calls and of their memory, and how long calls
// wait for their clients.
//
// The threads come in groups, so that a short call finds one of `pool` whatever
// else goes on:
//
//   pool       short bodies, half of it at most for messages of streams
//   long_jobs  bodies that last: checks, audits, summaries, large guests
//   lanes      calls that wait for a domain on which another is at work
//   builds     CreateDomain of small guests, which waits for audits
//   images     the steps of calls that save, restore or receive a guest
//   decisions  ResolveMigration, for which a suspended guest may wait elsewhere
//
// Only what runs on long_jobs, streams, images, decisions, the threads of
// migrations and those of the machine holds a domain's lock for long,
// and lanes has a thread for each of them.
//
// Thread safety: the parts synchronise themselves.

#ifndef SIMVISOR_SERVER_CALLS_CALL_RUNNER_H_
#define SIMVISOR_SERVER_CALLS_CALL_RUNNER_H_

#include <cstdint>

#include "absl/time/time.h"
#include "domain/host/host.h"
#include "server/calls/calls_in_flight.h"
#include "server/calls/idle_calls.h"
#include "server/calls/message_budget.h"
#include "server/calls/open_calls.h"
#include "server/calls/quick_gate.h"
#include "server/calls/stall_timer.h"
#include "server/machine/machine.h"
#include "server/threads/bounded_jobs.h"
#include "server/threads/clock.h"
#include "server/threads/domain_lanes.h"
#include "server/threads/long_jobs.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

// How much calls may take together.
struct CallBounds {
  uint32_t max_calls = OpenCalls::kDefaultLimit;
  uint64_t message_bytes = MessageBudget::kDefaultBytes;
  // After which a stream that waits for its client may give way.
  absl::Duration idle_long_enough = IdleCalls::kLongEnough;
  // How long a call waits for a client, or a daemon, that moves nothing.
  Clock::Time::duration stall_timeout = kDefaultStallTimeout;
};

struct CallRunner {
  // The machine `on` outlives this object, which goes by its clock.
  CallRunner(Machine* on, int threads, const CallBounds& bounds = CallBounds())
      : machine(*on),
        open_calls(bounds.max_calls),
        messages(bounds.message_bytes, bounds.idle_long_enough),
        idle_calls(bounds.idle_long_enough),
        stalls(on->clock(), bounds.stall_timeout),
        lanes(3 * (threads / 2) + kOtherLongThreads, kMaxWaitingCalls),
        long_jobs(threads / 2, kMaxWaitingCalls),
        builds(threads / 2),
        images(threads / 2),
        decisions(kDecisionThreads),
        streams(&pool, threads / 2),
        pool(threads) {}
  CallRunner(const CallRunner&) = delete;
  CallRunner& operator=(const CallRunner&) = delete;

  Host& host() const { return machine.host(); }

  Machine& machine;
  // These outlive the jobs of the pool.
  OpenCalls open_calls;
  MessageBudget messages;
  IdleCalls idle_calls;
  CallsInFlight calls;
  StallTimer stalls;
  QuickGate quick;
  // Migrations at a time, the machine's own threads, and some to spare.
  static constexpr int kOtherLongThreads = 15;
  // Two of them may wait a while for the end of a call.
  static constexpr int kDecisionThreads = 3;
  DomainLanes lanes;
  LongJobs long_jobs;
  WorkerPool builds;
  WorkerPool images;
  WorkerPool decisions;
  // Messages of streams: half of the threads are left to others.
  BoundedJobs streams;
  WorkerPool pool;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_CALL_RUNNER_H_
