// Sessions on threads, as in a daemon, while clients cancel, peers ask and
// other threads list: a test for ThreadSanitizer.

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/sessions/source_session.h"
#include "tests/server/sessions/local_peer.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

constexpr int kMovers = 3;
constexpr int kRounds = 12;

class SessionsThreadsTest : public testing::Test {
 protected:
  // Derives the uuid from the name.
  static DomainSpec SpecFor(const std::string& name, uint64_t memory) {
    DomainSpec spec = MakeSpec(name, memory);
    for (size_t i = 0; i < name.size(); ++i) {
      spec.uuid.at(i) = static_cast<uint8_t>(name[i]);
    }
    return spec;
  }
  static absl::StatusOr<DomainSpec> SpecOf(
      const std::optional<std::string>& config) {
    return SpecFor(config.value_or(""), 0);
  }

  // Migrates the domain, and cancels the migration after `cancel` if it is set.
  static absl::Status Migrate(LocalMachine& from, LocalMachine& to,
                              const std::string& name, const std::string& id,
                              std::optional<std::chrono::microseconds> cancel) {
    const auto domain = from.machine.host().Find(name);
    if (!domain.ok()) return domain.status();
    SourceSession session(
        SourceSession::Plan{.id = id,
                            .domain = *domain,
                            .target = std::make_shared<LocalPeer>(&to),
                            .policy = {},
                            .start_paused = false,
                            .config = name,
                            .source = "here"},
        {.migrations = &from.outgoing,
         .faults = &from.machine.faults(),
         .clock = SystemClock(),
         .stall_timeout = std::chrono::seconds(60)},
        [](const MigrationProgress&) {});
    std::thread client;
    if (cancel.has_value()) {
      client = std::thread([&session, cancel] {
        std::this_thread::sleep_for(*cancel);
        session.Cancel(absl::CancelledError("client"));
      });
    }
    absl::Status outcome = session.Run();
    if (client.joinable()) client.join();
    return outcome;
  }

  static int AwakeOn(LocalMachine& machine, const std::string& name) {
    const auto domain = machine.machine.host().Find(name);
    if (!domain.ok()) return 0;
    const DomainInfo info = (*domain)->Info();
    return info.state == DomainState::kRunning && !info.suspended ? 1 : 0;
  }

  LocalMachine a_{MakeHost(20000), SpecOf};
  LocalMachine b_{MakeHost(20000), SpecOf};
};

TEST_F(SessionsThreadsTest, GuestsThatMoveConcurrentlyEachRunOnce) {
  std::atomic<bool> stop = false;
  std::atomic<int> moved = 0;
  std::vector<std::thread> threads;
  for (int mover = 0; mover < kMovers; ++mover) {
    const std::string name = absl::StrCat("g", mover);
    MustCreate(a_.machine.host(), SpecFor(name, 500));
    threads.emplace_back([this, mover, name, &moved] {
      std::mt19937_64 random(mover + 1);
      for (int round = 0; round < kRounds; ++round) {
        std::optional<std::chrono::microseconds> cancel;
        if (random() % 2 == 0) {
          cancel = std::chrono::microseconds(random() % 4000);
        }
        const bool from_a = a_.machine.host().Find(name).ok();
        const std::string id = absl::StrCat(name, "-", round);
        if (from_a ? Migrate(a_, b_, name, id, cancel).ok()
                   : Migrate(b_, a_, name, id, cancel).ok()) {
          ++moved;
        }
      }
    });
  }
  // Lists and asks at random moments; asking is always safe.
  std::thread meddler([this, &stop] {
    std::mt19937_64 random(99);
    while (!stop.load()) {
      const std::string id =
          absl::StrCat("g", random() % kMovers, "-", random() % kRounds);
      Resolve(a_.outgoing, a_.incoming, id,
              MigrationDecision::kDropUnlessCommitted)
          .IgnoreError();
      b_.incoming.List({}, 100);
      a_.outgoing.List({}, 100);
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  });
  for (std::thread& thread : threads) thread.join();
  stop.store(true);
  meddler.join();
  for (int mover = 0; mover < kMovers; ++mover) {
    const std::string name = absl::StrCat("g", mover);
    // The last question may still be under way.
    while (AwakeOn(a_, name) + AwakeOn(b_, name) != 1 ||
           a_.machine.host().Info().domains +
                   b_.machine.host().Info().domains !=
               kMovers + 2) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  EXPECT_GT(moved.load(), 0);
  ExpectClean(a_.machine.host(), a_.machine.host().Info().owned.value());
  ExpectClean(b_.machine.host(), b_.machine.host().Info().owned.value());
}

}  // namespace
}  // namespace simvisor::server
