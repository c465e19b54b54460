// Foreign mappings that race with what owners, mappers and the audit do.  Meant
// for ThreadSanitizer too.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

constexpr uint64_t kMachine = 20000;
constexpr uint64_t kPages = 1500;  // of each domain, with 500 in its balloon

// Maps whatever frames it hits at ballooned pfns of `mapper`, and unmaps them.
void MapAndUnmap(Host& host, Domain& mapper, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int round = 0; round < 150; ++round) {
    std::vector<ForeignSlot> slots;
    std::vector<uint64_t> pfns;
    for (int i = 0; i < 40; ++i) {
      const uint64_t pfn = kPages + random() % 500;
      slots.push_back({Pfn(pfn), Mfn(random() % kMachine)});
      pfns.push_back(kPages + random() % 500);
    }
    ForeignReport report;
    if (!mapper.p2m().MapForeign({"map foreign"}, slots, report).ok()) return;
    EXPECT_EQ(report.done + report.failed, slots.size());
    ForeignReport unmapped;
    host.UnmapForeign({"unmap foreign"}, mapper.id(), pfns, unmapped)
        .IgnoreError();
  }
}

TEST(HostForeignRaceTest, MappersOwnersDestroyersAndAuditsMeet) {
  const auto host = MakeHost(kMachine);
  std::vector<std::shared_ptr<Domain>> mappers;
  for (const char* name : {"a", "b"}) {
    mappers.push_back(MustCreate(*host, MakeSpec(name, kPages, kPages + 500)));
  }
  std::atomic<int> running = 4;
  std::vector<std::thread> threads;
  const uint64_t seed = TestSeeds(1)[0];
  SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
  for (size_t i = 0; i < mappers.size(); ++i) {
    threads.emplace_back([&, i] {
      MapAndUnmap(*host, *mappers[i], seed + i);
      --running;
    });
  }
  // An owner that gives frames back and takes others.
  threads.emplace_back([&] {
    const auto owner = MustCreate(*host, MakeSpec("owner", 3000));
    for (int round = 0; round < 200; ++round) {
      EXPECT_THAT(owner->balloon().Down({"balloon down"}, PageCount(500), true),
                  IsOk());
      EXPECT_THAT(owner->balloon().Up({"balloon up"}, PageCount(500), true),
                  IsOk());
    }
    --running;
  });
  // Owners and mappers that come and go.
  threads.emplace_back([&] {
    for (int round = 0; round < 60; ++round) {
      const auto brief =
          MustCreate(*host, MakeSpec(absl::StrCat("brief", round), 1500, 2000));
      std::thread mapping([&] { MapAndUnmap(*host, *brief, seed + round); });
      EXPECT_THAT(host->DestroyDomain(brief->id()), IsOk());
      mapping.join();
    }
    --running;
  });
  while (running.load() > 0) {
    EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
  }
  for (std::thread& thread : threads) thread.join();

  // When the mappers are gone, every dying owner goes.
  for (const auto& mapper : mappers) {
    EXPECT_THAT(host->DestroyDomain(mapper->id()), IsOk());
  }
  EXPECT_EQ(host->Info().domains, 2u);
  EXPECT_EQ((*host->Find(std::string("owner")))->Info().memory.foreign_held,
            PageCount(0));
  EXPECT_THAT(host->Audit().findings, testing::IsEmpty());
}

TEST(HostForeignRaceTest, LastUnmapAndDestroyLeaveNoDyingDomain) {
  const auto host = MakeHost(kMachine);
  const auto mapper = MustCreate(*host, MakeSpec("mapper", kPages, 2000));
  for (int round = 0; round < 200; ++round) {
    const auto owner = MustCreate(*host, MakeSpec("owner", 1000));
    ForeignReport report;
    ASSERT_THAT(mapper->p2m().MapForeign(
                    {"map foreign"},
                    {ForeignSlot{Pfn(1800), Mfn(WordOf(*owner, 500).Number())}},
                    report),
                IsOk());
    ASSERT_EQ(report.done, 1u);
    std::thread unmapping([&] {
      ForeignReport unmapped;
      EXPECT_THAT(
          host->UnmapForeign({"unmap foreign"}, mapper->id(), {1800}, unmapped),
          IsOk());
    });
    EXPECT_THAT(host->DestroyDomain(owner->id()), IsOk());
    unmapping.join();
    ASSERT_EQ(host->Info().domains, 2u);
    ExpectClean(*host, kDom0Pages + kPages);
  }
}

// A frame of a domain whose creation is about to fail is mapped, and unmapped
// while the creation is undone: either thread may be the one that removes the
// domain.
TEST(HostForeignRaceTest, LastUnmappingMeetsABuildThatFails) {
  const auto host = MakeHost(kMachine);
  const auto mapper = MustCreate(*host, MakeSpec("m", kPages, kPages + 500));
  for (int round = 0; round < 30; ++round) {
    int asked = 0;
    std::thread unmapper;
    const auto cancel = [&]() -> absl::Status {
      if (++asked < 2) return absl::OkStatus();
      std::vector<FrameRun> runs;
      EXPECT_THAT(host->LookupFrames({Mfn(0), PageCount(kMachine)}, 1000, runs),
                  IsOk());
      const auto built =
          std::find_if(runs.begin(), runs.end(), [&](const FrameRun& run) {
            return run.state == FrameState::kOwned && run.owner > mapper->id();
          });
      if (built == runs.end()) return absl::OkStatus();
      const Mfn frame = built->frames.first;
      unmapper = std::thread([&host, &mapper, frame] {
        ForeignReport report;
        EXPECT_THAT(
            mapper->p2m().MapForeign({"map foreign"},
                                     {ForeignSlot{Pfn(kPages), frame}}, report),
            IsOk());
        if (report.done == 0) return;  // the frame went back before
        ForeignReport unmapped;
        EXPECT_THAT(host->UnmapForeign({"unmap foreign"}, mapper->id(),
                                       {kPages}, unmapped),
                    IsOk());
        EXPECT_EQ(unmapped.done, 1u);
      });
      return absl::CancelledError("enough");
    };
    EXPECT_FALSE(host->CreateDomain(MakeSpec("x", 1000), false, cancel).ok());
    ASSERT_TRUE(unmapper.joinable());
    unmapper.join();
    EXPECT_EQ(host->Info().domains, 2u);
  }
  ExpectClean(*host, kDom0Pages + kPages);
}

}  // namespace
}  // namespace simvisor
