// What lists show of a migration while its domain is resumed or destroyed.

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/sessions/local_peer.h"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

using testing::Each;
using testing::ElementsAre;

// Calls a function for each line that is logged.
class CallingSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CallingSink(std::function<void()> call) : call_(std::move(call)) {}

 private:
  void sink_it_(const spdlog::details::log_msg&) override { call_(); }
  void flush_() override {}

  std::function<void()> call_;
};

// The outcome of a migration is logged between its decision and the change of
// its domain, so a list is taken there.
class ShownStatesTest : public testing::Test {
 protected:
  ShownStatesTest() {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "shown", std::make_shared<CallingSink>([this] { Look(); })));
  }
  ~ShownStatesTest() override { spdlog::set_default_logger(before_); }

  void Look() {
    for (const auto& [place, one] : machine_.outgoing.List({}, 10)) {
      seen_.emplace_back(NameOf(one.state));
    }
    for (const auto& [place, one] : machine_.incoming.List({}, 10)) {
      seen_.emplace_back(NameOf(one.state));
    }
  }
  std::vector<std::string> Seen() { return std::exchange(seen_, {}); }

  std::shared_ptr<Domain> Create() {
    return MustCreate(machine_.machine.host(), MakeSpec("web", 500));
  }
  // Begins a migration whose guest is suspended.
  std::shared_ptr<Domain> BeginSuspended() {
    std::shared_ptr<Domain> domain = Create();
    EXPECT_THAT(machine_.outgoing.Begin("m", domain,
                                        std::make_shared<LocalPeer>(&machine_)),
                IsOk());
    EXPECT_THAT(domain->migration().Suspend({"migrate"}), IsOk());
    machine_.outgoing.Suspended("m", domain->Info().suspension);
    Seen();
    return domain;
  }
  // Begins a migration whose domain has arrived.
  void BeginPrepared() {
    ASSERT_THAT(machine_.incoming.Begin("m", "there", /*start_paused=*/false,
                                        [](const absl::Status&) {}),
                IsOk());
    const std::shared_ptr<Domain> domain = Create();
    ASSERT_THAT(domain->migration().Suspend({"migrate"}), IsOk());
    ASSERT_THAT(machine_.incoming.Arrived("m", domain), IsOk());
    Seen();
  }
  size_t guests() { return machine_.machine.host().guest_count(); }

  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  LocalMachine machine_{MakeHost(20000),
                        [](const auto&) { return MakeSpec("web", 0); }};
  std::vector<std::string> seen_;
};

TEST_F(ShownStatesTest, KeptIsShownOnceTheGuestRunsAgain) {
  const std::shared_ptr<Domain> domain = BeginSuspended();
  ASSERT_THAT(machine_.outgoing.Note("m", SourceEvent::kFailed), IsOk());
  EXPECT_THAT(Seen(), ElementsAre("COPYING"));
  EXPECT_FALSE(domain->Info().suspended);
  Look();
  EXPECT_THAT(Seen(), ElementsAre("KEPT"));
}

TEST_F(ShownStatesTest, MovedIsShownOnceTheDomainIsGone) {
  BeginSuspended();
  ASSERT_THAT(machine_.outgoing.Note("m", SourceEvent::kPrepared), IsOk());
  ASSERT_THAT(machine_.outgoing.Note("m", SourceEvent::kCommitted), IsOk());
  const std::vector<std::string> seen = Seen();
  EXPECT_THAT(seen, Each("COMMITTING"));
  EXPECT_FALSE(seen.empty());
  EXPECT_EQ(guests(), 0u);
  Look();
  EXPECT_THAT(Seen(), ElementsAre("MOVED"));
}

TEST_F(ShownStatesTest, CommittedIsShownOnceTheDomainRuns) {
  BeginPrepared();
  ASSERT_THAT(machine_.incoming.Decide("m", TargetEvent::kCommit), IsOk());
  const std::vector<std::string> seen = Seen();
  EXPECT_THAT(seen, Each("PREPARED"));
  EXPECT_FALSE(seen.empty());
  Look();
  EXPECT_THAT(Seen(), ElementsAre("COMMITTED"));
}

TEST_F(ShownStatesTest, DroppedIsShownOnceTheDomainIsGone) {
  BeginPrepared();
  ASSERT_THAT(machine_.incoming.Decide("m", TargetEvent::kDrop), IsOk());
  const std::vector<std::string> seen = Seen();
  EXPECT_THAT(seen, Each("PREPARED"));
  EXPECT_FALSE(seen.empty());
  EXPECT_EQ(guests(), 0u);
  Look();
  EXPECT_THAT(Seen(), ElementsAre("DROPPED"));
}

}  // namespace
}  // namespace simvisor::server
