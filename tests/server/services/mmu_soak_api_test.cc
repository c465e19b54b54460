// Many secondary MMUs, and many changes, at the same time.

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/server/services/mmu_fixture.h"

namespace simvisor::server {
namespace {

constexpr int kClients = 6;
constexpr int kChangers = 4;
constexpr int kChanges = 60;  // of each changer

class MmuSoakApiTest : public MmuApiTest {
 protected:
  // A client that keeps faulting and answers what it is told, until the test
  // is done; checks that each begin is closed once.
  void ServeOne(int seed) {
    MmuStream stream(*mmus_);
    Register(stream, seed % 2 == 0 ? "events: EVENT_FILTER_MAPPED" : "");
    std::set<uint64_t> open;
    uint64_t req = 0;
    Fault(stream, ++req, seed);
    bool leaving = false;
    while (true) {
      const v1::SubscribeResponse event = stream.Read();
      if (event.has_unregistered()) break;
      if (event.has_begin()) {
        EXPECT_TRUE(open.insert(event.begin().range_id()).second);
        stream.Send(absl::StrCat("ack { ev: ", event.ev(), " }"));
      } else if (event.has_end()) {
        EXPECT_EQ(open.erase(event.end().range_id()), 1u);
      } else if (event.has_abort()) {
        EXPECT_EQ(open.erase(event.abort().range_id()), 1u);
      } else if (event.message_case() ==
                 v1::SubscribeResponse::MESSAGE_NOT_SET) {
        ADD_FAILURE() << stream.End();
        return;
      } else if (done_.load()) {
        if (!leaving) stream.Send("unregister {}");
        leaving = true;
      } else {
        Fault(stream, ++req, seed);
      }
    }
    EXPECT_EQ(stream.End(), "OK");
  }
  static void Fault(MmuStream& stream, uint64_t req, int seed) {
    const uint64_t pfn = kPages - 1 - (req * 7919 + seed * 131) % 2048;
    stream.Send(absl::StrCat("fault { req: ", req, " pfn: ", pfn,
                             " ahead: 15 write: true wait: true }"));
  }
  void MoveAbout(int seed) {
    for (int i = 0; i < kChanges; ++i) {
      auto request = For<v1::SetMemoryTargetRequest>(domid_);
      request.set_target_pages(kPages - (i * 37 + seed * 13) % 512);
      EXPECT_EQ(
          Call(*memory_, &v1::MemoryService::Stub::SetMemoryTarget, request),
          "OK");
    }
  }

  std::atomic<bool> done_ = false;
};

TEST_F(MmuSoakApiTest, EveryBeginIsClosedOnceAndNothingIsLost) {
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, i] { ServeOne(i); });
  }
  while (List().mmus_size() < kClients) std::this_thread::yield();
  std::vector<std::thread> changers;
  for (int i = 0; i < kChangers; ++i) {
    changers.emplace_back([this, i] { MoveAbout(i); });
  }
  for (std::thread& changer : changers) changer.join();
  done_ = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Get().secondary_mmus().fences(), 0u);
  EXPECT_EQ(AuditFindings(), "");
}

TEST_F(MmuSoakApiTest, StreamsThatComeAndBreakHoldNothingUp) {
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, i] {
      for (int round = 0; round < 20; ++round) {
        MmuStream stream(*mmus_);
        Register(stream);
        Fault(stream, 1, i + round);
        // Sometimes in the middle of a change.
        stream.Read();
      }
    });
  }
  std::vector<std::thread> changers;
  for (int i = 0; i < kChangers; ++i) {
    changers.emplace_back([this, i] { MoveAbout(i); });
  }
  for (std::thread& changer : changers) changer.join();
  for (std::thread& client : clients) client.join();
  while (List().mmus_size() != 0) std::this_thread::yield();
  EXPECT_EQ(AuditFindings(), "");
}

}  // namespace
}  // namespace simvisor::server
