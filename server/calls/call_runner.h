// What all calls of a server share: the machine they work on, the threads they
// run on, the limits on their number and memory, and the timeout for clients
// that stall.
//
// The threads come in groups, so that a short call always finds a thread in
// `pool`, whatever else is running:
//
//   pool       short bodies; streams may use at most half of it
//   long_jobs  long bodies: checks, audits, summaries, large guests
//   lanes      calls that wait for a domain that another call is using
//   builds     CreateDomain of small guests, which may wait for an audit
//   images     the steps of calls that save, restore or receive a guest
//   decisions  ResolveMigration, for which a suspended guest may wait elsewhere
//   waits      changes of domains with secondary MMUs, which wait for clients
//   signals    passes messages to secondary MMUs; never waits
//
// Only jobs on long_jobs, streams, images, decisions, the threads of migrations
// and those of the machine hold a domain's lock for long, and lanes has a
// thread for each of them.
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
#include "server/threads/wait_pool.h"
#include "server/threads/worker_pool.h"

namespace simvisor::server {

// Limits for all calls together.
struct CallBounds {
  uint32_t max_calls = OpenCalls::kDefaultLimit;
  uint64_t message_bytes = MessageBudget::kDefaultBytes;
  // After this long, a stream that waits for its client may be cancelled to
  // make room for another.
  absl::Duration idle_long_enough = IdleCalls::kLongEnough;
  // How long a call waits for a client, or another daemon, that makes no
  // progress.
  Clock::Time::duration stall_timeout = kDefaultStallTimeout;
};

struct CallRunner {
  // Uses the clock of the machine `on`, which outlives this object.
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
        signals(kSignalThreads),
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
  // Concurrent migrations, the machine's own threads, and a few spare.
  static constexpr int kOtherLongThreads = 15;
  // Two of them may have to wait for a call to end.
  static constexpr int kDecisionThreads = 3;
  static constexpr int kSignalThreads = 2;
  DomainLanes lanes;
  LongJobs long_jobs;
  WorkerPool builds;
  WorkerPool images;
  WorkerPool decisions;
  WorkerPool signals;
  // Messages of streams; leaves half of the pool's threads to other calls.
  BoundedJobs streams;
  WorkerPool pool;
  // Its jobs may submit jobs to all the others, so it ends first.
  WaitPool waits;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_CALL_RUNNER_H_
