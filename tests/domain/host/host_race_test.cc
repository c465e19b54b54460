// Calls that race each other, on one host.  Meant for ThreadSanitizer too.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;

constexpr int kRounds = 60;

// Runs `body(0)` to `body(threads - 1)` at once.
template <typename Body>
void AtOnce(int threads, const Body& body) {
  std::atomic<int> waiting = threads;
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      --waiting;
      while (waiting.load() > 0) std::this_thread::yield();
      body(i);
    });
  }
  for (std::thread& thread : running) thread.join();
}

TEST(HostRaceTest, OneOfTwoCreatorsOfANameWins) {
  const auto host = MakeHost(20000);
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<int> won = 0;
    AtOnce(2, [&](int) {
      const auto created =
          host->CreateDomain(MakeSpec("same", 1000), false, NeverStop);
      if (created.ok()) {
        ++won;
        return;
      }
      EXPECT_THAT(created, IsError(Code::kAlreadyExists, Reason::kNameInUse,
                                   testing::HasSubstr("\"same\"")));
    });
    EXPECT_EQ(won.load(), 1);
    ExpectClean(*host, kDom0Pages + 1000);
    ASSERT_THAT(host->DestroyDomain(std::string("same")), IsOk());
  }
  ExpectClean(*host, kDom0Pages);
}

TEST(HostRaceTest, AnswersShowTheMemoryAsTheirOwnCallLeftIt) {
  const auto host = MakeHost(20000);
  const auto domain = MustCreate(*host, MakeSpec("a", 1000));
  AtOnce(2, [&](int i) {
    const PageCount target(900 + 50 * i);
    for (int round = 0; round < 20 * kRounds; ++round) {
      DomainMemory after;
      ASSERT_THAT(domain->balloon().SetTarget({"set"}, target, &after), IsOk());
      ASSERT_EQ(after.target, target);
      ASSERT_EQ(after.current, target);
    }
  });
  ExpectClean(*host, kDom0Pages + domain->Memory().current.value());
}

TEST(HostRaceTest, OneOfTwoDestroyersWins) {
  const auto host = MakeHost(20000);
  for (int round = 0; round < kRounds; ++round) {
    const DomainId id = MustCreate(*host, MakeSpec("a", 1000))->id();
    std::atomic<int> won = 0;
    AtOnce(2, [&](int) {
      const auto freed = host->DestroyDomain(id);
      if (freed.ok()) {
        EXPECT_EQ(freed->value(), 1000);
        ++won;
        return;
      }
      EXPECT_THAT(ReasonOf(freed.status()),
                  testing::AnyOf(std::string("DOMAIN_DYING"),
                                 std::string("DOMAIN_NOT_FOUND")));
    });
    EXPECT_EQ(won.load(), 1);
    ExpectClean(*host, kDom0Pages);
  }
}

TEST(HostRaceTest, CallsDuringADestroyEndOrLearnThatItIsDying) {
  const auto host = MakeHost(20000);
  for (int round = 0; round < kRounds; ++round) {
    const auto domain =
        MustCreate(*host, MakeSpec(absl::StrCat("d", round), 3000, 4000));
    const auto ends_or_dying = [](const absl::Status& status) {
      if (status.ok()) return true;
      EXPECT_THAT(status, IsError(Code::kFailedPrecondition,
                                  Reason::kDomainDying, testing::_));
      return false;
    };
    AtOnce(4, [&](int part) {
      bool alive = true;
      for (int i = 0; alive && i < 1000; ++i) {
        std::vector<P2mWord> words;
        switch (part) {
          case 0:
            alive = i < 3;
            if (!alive) {
              EXPECT_THAT(host->DestroyDomain(domain->id()), IsOk());
            }
            break;
          case 1:
            alive = ends_or_dying(domain->p2m().Translate({2999, 3500}, words));
            break;
          case 2:
            alive =
                ends_or_dying(domain->balloon()
                                  .Down({"balloon down"}, PageCount(100), true)
                                  .status());
            alive = alive &&
                    ends_or_dying(domain->balloon()
                                      .Up({"balloon up"}, PageCount(100), true)
                                      .status());
            break;
          default:
            EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
            EXPECT_THAT(domain->balloon().Wake({"balloon timer"},
                                               domain->balloon().timer()),
                        IsOk());
            alive = domain->Info().state != DomainState::kDying;
            break;
        }
      }
    });
    ExpectClean(*host, kDom0Pages);
  }
}

TEST(HostRaceTest, TranslateDuringABalloonSeesOldOrNewWords) {
  const auto host = MakeHost(20000);
  const auto domain = MustCreate(*host, MakeSpec("a", 3000));
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    std::vector<P2mWord> words;
    while (!stop.load()) {
      words.clear();
      ASSERT_THAT(domain->p2m().Translate({2990, 100}, words), IsOk());
      EXPECT_TRUE(words[0].is_invalid() || words[0].is_ram());
      EXPECT_TRUE(words[1].is_ram());
    }
  });
  for (int round = 0; round < 300; ++round) {
    EXPECT_THAT(domain->balloon().Down({"balloon down"}, PageCount(700), false),
                IsOk());
    EXPECT_THAT(domain->balloon().Up({"balloon up"}, PageCount(700), false),
                IsOk());
  }
  stop = true;
  reader.join();
  ExpectClean(*host, kDom0Pages + 3000);
}

TEST(HostRaceTest, TwoDomainsTakeTheLastFramesBetweenThem) {
  const auto host = MakeHost(8000);
  const auto a = MustCreate(*host, MakeSpec("a", 2000, 6000));
  const auto b = MustCreate(*host, MakeSpec("b", 2000, 6000));
  ASSERT_THAT(a->balloon().SetMaximum({"set maximum memory"}, PageCount(6000)),
              IsOk());
  ASSERT_THAT(b->balloon().SetMaximum({"set maximum memory"}, PageCount(6000)),
              IsOk());
  const uint64_t free = host->Info().free.value();
  std::atomic<uint64_t> given = 0;
  AtOnce(2, [&](int i) {
    const auto moved =
        (i == 0 ? a : b)->balloon().Up({"balloon up"}, PageCount(free), true);
    ASSERT_THAT(moved, IsOk());
    given += moved->value();
  });
  EXPECT_EQ(given.load(), free);
  ExpectClean(*host, kDom0Pages + 4000 + free);
}

}  // namespace
}  // namespace simvisor
