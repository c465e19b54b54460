// Lines in the log about domains, taken from a logger of the test's own.

#include "server/machine/events.h"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <new>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "server/machine/fault_injector.h"
#include "server/machine/machine.h"
#include "tests/support/host_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

class EventsTest : public testing::Test {
 protected:
  EventsTest() {
    auto logger = std::make_shared<spdlog::logger>(
        "events", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_));
    logger->set_pattern("%l %v");
    spdlog::set_default_logger(logger);
  }
  ~EventsTest() override { spdlog::set_default_logger(before_); }

  // What has been logged since the last call.
  std::string Lines() {
    std::string lines = lines_.str();
    lines_.str("");
    return lines;
  }

  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream lines_;
};

TEST_F(EventsTest, TextIsMadeOnlyIfTheLogTakesIt) {
  int made = 0;
  const auto text = [&made] {
    ++made;
    return std::string("{} 100 %");
  };
  LogEvent(text);
  EXPECT_EQ(Lines(), "info {} 100 %\n");
  spdlog::default_logger()->set_level(spdlog::level::warn);
  LogEvent(text);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(Lines(), "");
}

TEST_F(EventsTest, LineWithoutMemoryIsLeftOut) {
  LogEvent([]() -> std::string { throw std::bad_alloc(); });
  EXPECT_EQ(Lines(), "");
}

TEST_F(EventsTest, CreationAndEndOfADomainAreLogged) {
  Machine machine(MakeHost(100000));
  const auto domain = machine.Create(MakeSpec("web", 16384),
                                     /*start_paused=*/true, NeverStop);
  ASSERT_THAT(domain, IsOk());
  EXPECT_EQ(Lines(),
            "info web (1): created with 64 MiB (16384 pages), paused\n");
  ASSERT_THAT(machine.Destroy(*domain), IsOk());
  EXPECT_EQ(Lines(), "info web (1): destroyed, 64 MiB (16384 pages) freed\n");
}

TEST_F(EventsTest, RulesAndTheirActsAreLogged) {
  FaultInjector faults(false);
  faults.Enable();
  EXPECT_EQ(Lines(),
            "warning fault injection is on: any client can make calls fail, or "
            "kill the daemon\n");
  FaultRule rule = {.point = FaultPoint::kSavePiece,
                    .domain = "web",
                    .action = FaultAction::kError,
                    .code = absl::StatusCode::kUnavailable};
  rule.skip = 1;
  rule.count = 2;
  rule.probability = 0.5;
  ASSERT_THAT(faults.Add(rule), IsOk());
  EXPECT_EQ(Lines(),
            "info fault rule 1 at save.piece of domain \"web\": error "
            "UNAVAILABLE, skip 1, count 2, probability 0.5: added\n");
  ASSERT_THAT(faults.Remove({1}), IsOk());
  EXPECT_EQ(Lines(), "info fault rules removed: 1\n");

  rule.skip = 0;
  rule.probability = 1;
  ASSERT_THAT(faults.Add(rule), IsOk());
  Lines();
  EXPECT_FALSE(faults.Reach(FaultPoint::kSavePiece, "web").ok());
  EXPECT_EQ(Lines(),
            "info fault point save.piece of domain \"web\": rule 2 makes the "
            "call fail with UNAVAILABLE\n");
}

TEST_F(EventsTest, RuleOfAnAllocationIsLoggedWhenItFirstActs) {
  FaultInjector faults(true);
  FaultRule rule;
  rule.point = FaultPoint::kFrameAllocate;
  ASSERT_THAT(faults.Add(rule), IsOk());
  Lines();
  EXPECT_TRUE(faults.FailNow(AllocationSite::kFrame));
  EXPECT_EQ(Lines(),
            "info fault point frame.allocate: rule 1 makes an allocation "
            "fail\n");
  EXPECT_TRUE(faults.FailNow(AllocationSite::kFrame));
  EXPECT_EQ(Lines(), "");
}

}  // namespace
}  // namespace simvisor::server
