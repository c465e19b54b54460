// Changes, faults, answers and fences that race.  Meant for ThreadSanitizer
// too.

#include <atomic>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "tests/domain/smmu/mmu_testing.h"

namespace simvisor {
namespace {

constexpr int kRounds = 300;
constexpr int kClients = 3;

class MmuRaceTest : public MmuTest {
 protected:
  // A client: faults, and answers what it is told, until its stream is over.
  void RunClient(SubscriptionId id, int number) {
    uint64_t req = 0;
    bool over = false;
    while (!over) {
      const auto messages = mmus_.TakeMessages(id, 16, &over);
      for (const mmu::Message& message : messages) {
        if (std::holds_alternative<mmu::RangeBegin>(message.body)) {
          mmus_.Ack(id, message.ev, now_).status().IgnoreError();
        }
      }
      if (messages.empty()) {
        FaultRequest request;
        request.req = ++req;
        request.pfn = Pfn((req * 7 + number) % 64);
        request.write = req % 2 == 0;
        request.ahead = req % 4;
        request.wait = req % 3 == 0;
        mmus_.Fault(id, request).IgnoreError();
        std::this_thread::yield();
      }
    }
  }

  // Opens and closes ranges; nothing may be mapped there once all answered.
  void RunChanger(int number) {
    for (int round = 0; round < kRounds; ++round) {
      const PfnExtent pfns = Pfns((round * 5 + number) % 60, 64);
      ChangeGate gate;
      const RangeId range =
          mmus_.BeginRange({pfns}, InvalidateReason::kUnmap, true, &gate, now_);
      while (!gate.WaitFor(absl::Seconds(1))) {
      }
      EXPECT_EQ(mmus_.AnswersTo(range), SecondaryMmus::Answers::kGiven);
      PfnSet within;
      within.Add(pfns);
      EXPECT_TRUE(mmus_.WritableIn(&within).empty());
      mmus_.EndRange(range);
      ExpectClean();
    }
  }
};

TEST_F(MmuRaceTest, NothingIsMappedInARangeThatAllHaveAnswered) {
  std::vector<SubscriptionId> ids;
  for (int i = 0; i < kClients; ++i) ids.push_back(Register("client"));
  std::vector<std::thread> clients, changers;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([this, i, &ids] { RunClient(ids[i], i); });
  }
  for (int i = 0; i < 2; ++i) {
    changers.emplace_back([this, i] { RunChanger(i); });
  }
  for (std::thread& changer : changers) changer.join();
  mmus_.Fence(ids[0], FenceCause::kOperator);
  for (const SubscriptionId id : ids) mmus_.Unregister(id);
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(mmus_.Totals().mapped, PageCount(0));
}

TEST_F(MmuRaceTest, FencesAndLeavesNeverLeaveAChangeWaiting) {
  std::atomic<bool> done = false;
  std::thread leavers([&] {
    for (int round = 0; round < kRounds; ++round) {
      const auto id = Register("leaver");
      Fault(id, 1, round % 64);
      if (round % 2 == 0) {
        mmus_.Fence(id, FenceCause::kOperator);
      } else {
        mmus_.Unregister(id);
      }
      mmus_.Forget(id);
    }
    done = true;
  });
  do {
    RunChanger(0);
  } while (!done.load());
  leavers.join();
}

TEST_F(MmuRaceTest, LeavingWaitsForTheCallbackThatRuns) {
  struct Slow : SecondaryMmu {
    void Begin(const mmu::RangeBegin&) override {
      ++running;
      std::this_thread::yield();
      --running;
    }
    void Page(const mmu::PageInvalidate&) override {}
    void End(RangeId, uint64_t, bool) override {}
    PfnSet Young(PfnExtent, bool) override { return {}; }
    void Release(const mmu::Release&) override {}
    std::atomic<int> running = 0;
  };
  for (int round = 0; round < kRounds; ++round) {
    auto object = std::make_unique<Slow>();
    MmuSpec spec;
    spec.name = "slow";
    const auto id = Register(spec, {nullptr, object.get()});
    const RangeId range = Begin(Pfns(0, 8));
    std::thread caller([&] { mmus_.CallBack(range); });
    mmus_.Unregister(id);
    EXPECT_EQ(object->running.load(), 0);
    object.reset();
    caller.join();
    mmus_.EndRange(range);
  }
}

}  // namespace
}  // namespace simvisor
