#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using testing::IsEmpty;

TEST(HostAuditTest, CountsWhatItLookedAt) {
  const auto host = MakeHost(20000);
  MustCreate(*host, MakeSpec("a", 3000));
  MustCreate(*host, MakeSpec("b", 1000), true);
  const AuditReport report = host->Audit();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.frames, 20000);
  EXPECT_EQ(report.words, kDom0Pages + 4000);
  EXPECT_EQ(report.domains, 3);
}

TEST(HostAuditTest, WaitsForABusyDomainWithoutHoldingTheOthers) {
  const auto host = MakeHost(20000);
  const auto busy = MustCreate(*host, MakeSpec("busy", 3000));
  const auto quiet = MustCreate(*host, MakeSpec("quiet", 1000));
  absl::Notification at_work;
  absl::Notification go;
  std::thread worker([&] {
    const auto stop = [&] {
      if (!at_work.HasBeenNotified()) {
        at_work.Notify();
        go.WaitForNotification();
      }
      return absl::OkStatus();
    };
    EXPECT_THAT(
        busy->balloon().SetTarget({"set memory target", stop}, PageCount(1000)),
        IsOk());
  });
  at_work.WaitForNotification();
  AuditReport report;
  std::thread auditor([&] { report = host->Audit(); });
  // Whether or not the audit waits by now.
  for (int i = 0; i < 1000; ++i) {
    EXPECT_THAT(quiet->Pause({"pause"}), IsOk());
    EXPECT_THAT(quiet->Unpause({"unpause"}), IsOk());
    std::this_thread::yield();
  }
  EXPECT_EQ(host->List(kDom0Id, 10).size(), 3u);
  go.Notify();
  worker.join();
  auditor.join();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.domains, 3);
}

TEST(HostAuditTest, IsCleanWhileDomainsComeAndGo) {
  const auto host = MakeHost(60000, Placement::kScatter);
  std::atomic<bool> over = false;
  std::vector<std::thread> owners;
  for (const char* name : {"a", "b", "c"}) {
    owners.emplace_back([&, name] {
      while (!over) {
        const auto domain = MustCreate(*host, MakeSpec(name, 3000));
        EXPECT_THAT(
            domain->balloon().SetTarget({"set memory target"}, PageCount(2000)),
            IsOk());
        EXPECT_THAT(host->DestroyDomain(domain), IsOk());
      }
    });
  }
  for (int i = 0; i < 50; ++i) EXPECT_THAT(host->Audit().findings, IsEmpty());
  over = true;
  for (std::thread& owner : owners) owner.join();
}

}  // namespace
}  // namespace simvisor
