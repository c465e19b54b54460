// A ChangeWaiter that does not block.
//
// Operations run as jobs, each on its own thread, but exactly one thread runs
// at a time: it holds the baton.  The driver, which is the thread of the test,
// hands the baton to a job; the job gives it back when it has to wait, or when
// it ends.  So only the driver decides what happens.  Time moves only when
// the driver says so.
//
// Thread safety: the driver's methods are for its thread, those of ChangeWaiter
// for the threads of jobs.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_BATON_WAITER_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_BATON_WAITER_H_

#include <cstdlib>
#include <functional>
#include <iostream>
#include <list>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "domain/units/change_waiter.h"

namespace simvisor {

class BatonWaiter final : public ChangeWaiter {
 public:
  // What a job waits for, or has come to.
  enum class Phase { kTurn, kAnswers, kReleased, kOpen, kEnded };

  // Only who has the baton uses it.
  struct Job {
    std::string id;
    Phase phase = Phase::kTurn;
    absl::Status stop;       // not OK: its caller has given up
    bool time_over = false;  // its caller waits no longer
    bool nudged = false;     // one of the two has changed
    ChangeGate open_range;   // open: a range of its own may be closed
    std::thread thread;
    const ChangeGate* gate = nullptr;  // that it waits for

    bool ended() const { return phase == Phase::kEnded; }
    bool can_go_on() const {
      return !ended() && (nudged || (gate != nullptr && gate->is_open()));
    }
  };

  BatonWaiter() = default;
  BatonWaiter(const BatonWaiter&) = delete;
  BatonWaiter& operator=(const BatonWaiter&) = delete;
  // REQUIRES: all jobs have ended.
  ~BatonWaiter() override {
    for (Job& job : jobs_) job.thread.join();
  }

  // --- The driver ------------------------------------------------------------

  // Called on a job's thread when its change gets to a point.
  void OnPoint(std::function<absl::Status(Job&, ChangePoint)> f) {
    on_point_ = std::move(f);
  }

  // Starts f(job), and lets it run until it waits or ends.
  Job& Start(std::string id, std::function<void(Job&)> f) {
    Job& job = jobs_.emplace_back();
    job.id = std::move(id);
    job.thread = std::thread([this, &job, f = std::move(f)] {
      current_ = &job;
      AwaitBaton(&job);
      f(job);
      job.phase = Phase::kEnded;
      GiveBaton(nullptr);
    });
    GoOn(job);
    return job;
  }

  // Lets jobs go on that can, first those that came first, until all wait.
  void Settle() {
    for (auto job = jobs_.begin(); job != jobs_.end();) {
      if (!job->can_go_on()) {
        ++job;
        continue;
      }
      GoOn(*job);
      job = jobs_.begin();
    }
  }

  void Stop(Job& job, absl::Status why) {
    job.stop = std::move(why);
    job.nudged = true;
  }
  void EndTime(Job& job) {
    job.time_over = true;
    job.nudged = true;
  }
  // The last one with this id; null if there is none.
  Job* Find(const std::string& id) {
    for (auto job = jobs_.rbegin(); job != jobs_.rend(); ++job) {
      if (job->id == id) return &*job;
    }
    return nullptr;
  }
  std::list<Job>& jobs() { return jobs_; }
  // Forgets jobs that have ended.
  void Forget() {
    jobs_.remove_if([](Job& job) {
      if (job.ended()) job.thread.join();
      return job.ended();
    });
  }

  void Pass(absl::Duration time) { now_ += time; }

  // --- Jobs ------------------------------------------------------------------

  // Keeps the job's range open until its `open_range` opens.
  void HoldOpen(Job& job) {
    job.phase = Phase::kOpen;
    Park(job, job.open_range, NeverStop, /*timed=*/false).IgnoreError();
    job.phase = Phase::kAnswers;
  }

  absl::Time Now() override { return now_; }

  absl::Status Wait(const ChangeGate& gate, StopCheck stop,
                    absl::Time) override {
    if (gate.is_open()) return absl::OkStatus();
    if (current_ == nullptr) {
      std::cerr << "a change that waits is not a job\n";
      std::abort();
    }
    return Park(*current_, gate, stop, /*timed=*/true);
  }

  absl::Status At(ChangePoint point, const DomainIdentity&) override {
    if (current_ == nullptr) return absl::OkStatus();
    switch (point) {
      case ChangePoint::kBegin:
        current_->phase = Phase::kAnswers;
        break;
      case ChangePoint::kAnswered:
        current_->phase = Phase::kTurn;
        break;
      case ChangePoint::kRelease:
        current_->phase = Phase::kReleased;
        break;
      case ChangePoint::kRegistering:
      case ChangePoint::kChanged:
        break;
    }
    return on_point_ ? on_point_(*current_, point) : absl::OkStatus();
  }

 private:
  absl::Status Park(Job& job, const ChangeGate& gate, StopCheck stop,
                    bool timed) {
    while (true) {
      if (gate.is_open()) return absl::OkStatus();
      absl::Status stopped = stop();
      if (!stopped.ok()) return stopped;
      if (timed && job.time_over) return absl::OkStatus();
      job.gate = &gate;
      GiveBaton(nullptr);
      AwaitBaton(&job);
      job.gate = nullptr;
    }
  }

  void GoOn(Job& job) {
    job.nudged = false;
    GiveBaton(&job);
    AwaitBaton(nullptr);
  }
  void GiveBaton(Job* to) {
    absl::MutexLock lock(&mu_);
    holder_ = to;
  }
  void AwaitBaton(Job* by) {
    const auto has_it = [this, by] {
      mu_.AssertReaderHeld();
      return holder_ == by;
    };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&has_it));
  }

  static inline thread_local Job* current_ = nullptr;

  std::list<Job> jobs_;
  std::function<absl::Status(Job&, ChangePoint)> on_point_;
  absl::Time now_ = absl::UnixEpoch();

  absl::Mutex mu_;
  Job* holder_ ABSL_GUARDED_BY(mu_) = nullptr;  // null: the driver
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_BATON_WAITER_H_
