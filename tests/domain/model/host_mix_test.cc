// Everything at once on two hosts: owners that create, balloon, save, restore,
// move and end their guests, meddlers, readers, loads, and repeated audits.
// Meant for ThreadSanitizer too.
//
// SIMVISOR_STEPS is the number of steps of each owner.

#include "tests/domain/model/host_mix.h"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/model/host_mix_owner.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

uint64_t MixSteps() {
  uint64_t steps = 1500;
  const char* const given = std::getenv("SIMVISOR_STEPS");
  if (given != nullptr && !absl::SimpleAtoi(given, &steps)) ADD_FAILURE();
  return steps;
}

// Does to the guests of others what any client may do, and creates some that
// live for a moment.
class Meddler : private Actor {
 public:
  Meddler(Mix& mix, uint64_t seed) : Actor(mix, seed), seed_(seed) {}

  void Step() {
    host_ = static_cast<int>(Pick(2));
    const auto domain = AnyDomain(host_);
    if (domain == nullptr || Chance(8)) return CreateBriefly();
    switch (Pick(8)) {
      case 0:
        Note("up", domain->balloon().Up({"balloon up"},
                                        PageCount(1 + Pick(600)), true));
        break;
      case 1: {
        const uint64_t pfn = kOwnEnd + Pick(kAnybodysEnd - kOwnEnd);
        Note("others write",
             domain->contents().Write({"write"}, Pfn(pfn), Pick(4000),
                                      "by anybody"));
        break;
      }
      case 2:
        // Only this thread, or the end of the domain, ends a pause.
        if (Note("pause", domain->Pause({"pause"}))) {
          Note("unpause", domain->Unpause({"unpause"}));
        }
        break;
      case 3:
        Note("wake", domain->balloon().Wake({"balloon timer"},
                                            domain->balloon().timer()));
        break;
      case 4:
        Note("affinity", domain->vcpus().SetAffinity({}, &kSomeCpus, nullptr));
        break;
      default:
        MakeProcesses(*domain);
        break;
    }
  }

 private:
  // When it is destroyed, other threads may be using it, and its frames may be
  // mapped.
  void CreateBriefly() {
    DomainSpec spec =
        MakeSpec(absl::StrCat("brief-", seed_, "-", ++created_), 2000, 2500);
    spec.arch = Chance(50) ? Arch::kX86_32Pae : Arch::kX86_64;
    const auto brief =
        mix().host(host_).CreateDomain(spec, Chance(20), NeverStop);
    if (!Note("create briefly", brief)) return;
    if (const auto other = AnyDomain(host_); other != nullptr) {
      ForeignReport report;
      (*brief)
          ->p2m()
          .MapForeign({"map foreign"}, {{Pfn(2100), AnyFrame(*other)}}, report)
          .IgnoreError();
    }
    EXPECT_TRUE(Note("destroy brief", mix().host(host_).DestroyDomain(*brief)));
  }

  void MakeProcesses(Domain& domain) {
    // Processes that could not be ended because the guest was suspended stay.
    if (domain.Info().memory.address_space_pages > PageCount(150)) return;
    const auto made = domain.processes().Create({"create address spaces"}, 3);
    if (!Note("create processes", made)) return;
    std::vector<P2mWord> words;
    Note("translate in process", domain.processes().TranslateIn(
                                     made->first_id, {500, 1500, 2500}, words));
    Note("sync", domain.processes().Sync({"sync address spaces"}));
    const uint64_t first = made->first_id;
    Note("end processes",
         domain.processes().Destroy({"destroy address spaces"},
                                    {first, first + 1, first + 2}));
  }

  static inline const CpuRanges kSomeCpus = {{3, 5}, {20, 1}};

  const uint64_t seed_;
  int host_ = 0;
  int created_ = 0;
};

// Reads, with and without locks.
class Reader : private Actor {
 public:
  Reader(Mix& mix, uint64_t seed) : Actor(mix, seed) {}

  void Step() {
    const int host = static_cast<int>(Pick(2));
    const auto domain = AnyDomain(host);
    if (domain == nullptr) return;
    for (int i = 0; i < 50; ++i) LookUp(*domain);
    const Mfn frame = AnyFrame(*domain);
    std::vector<MfnTranslation> pfns;
    Note("translate mfns", domain->p2m().TranslateMfns({frame.value()}, pfns));
    std::string page(kPageSize, '\0');
    bool zero = false;
    Note("read frame",
         mix().host(host).ReadFrame(frame, absl::MakeSpan(page), &zero));
    std::vector<P2mRun> runs;
    uint64_t generation = 0;
    Note("list runs",
         domain->p2m().ListRuns(Pfn(0), Pfn(2600), P2mView::kResolved,
                                RunMerge::kByFrame, 100, runs, &generation));
    Note("summary", domain->p2m().Summary());
    Note("find list", domain->p2m().FindMfnListList());
    domain->Info();
  }

 private:
  // Takes no lock.  The pages that an owner writes to are always RAM.
  void LookUp(Domain& domain) {
    std::vector<P2mWord> words;
    const uint64_t own = kOwnPages + Pick(kOwnEnd - kOwnPages);
    if (!Note("translate", domain.p2m().Translate({own, Pick(5000)}, words)))
      return;
    EXPECT_TRUE(words[0].is_ram()) << own;
  }
};

// Does the writes of loads and the wake-ups of balloon drivers.
class LoadRunner : private Actor {
 public:
  LoadRunner(Mix& mix, uint64_t seed) : Actor(mix, seed) {}

  void Step() {
    if (const auto domain = AnyDomain(static_cast<int>(Pick(2)))) {
      Note("run load", domain->load().Run({"run its load"}, 1 + Pick(40)));
    }
  }
};

void Audit(const Host& host) {
  EXPECT_THAT(host.Audit().findings, testing::IsEmpty());
  const HostInfo info = host.Info();
  EXPECT_EQ(info.free + info.owned + info.reserved, info.total);
}

// Runs an actor on a thread of its own until the mix has ended.
template <typename A>
void RunUntilTheEnd(Mix& mix, uint64_t seed,
                    std::vector<std::thread>& threads) {
  threads.emplace_back([&mix, seed] {
    A actor(mix, seed);
    while (!mix.ended()) actor.Step();
  });
}

void RunOwners(Mix& mix, uint64_t seed) {
  constexpr int kOwners = 3;
  std::vector<std::thread> threads;
  for (int i = 0; i < kOwners; ++i) {
    threads.emplace_back([&mix, seed, i] {
      MixOwner owner(mix, i, seed * 100 + static_cast<uint64_t>(i));
      for (uint64_t step = 0; step < MixSteps(); ++step) {
        owner.Step();
        if (testing::Test::HasFailure()) return;
      }
      owner.CheckAll();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Once all threads have stopped, counts are exact.
void ExpectSums(const Host& host) {
  PageCount owned;
  for (const auto& domain : host.List(DomainId(0), 1000)) {
    owned += domain->Info().memory.current;
  }
  EXPECT_EQ(host.Info().owned, owned);
}

void ExpectNothingLeft(Host& host) {
  for (const auto& domain : host.List(DomainId(1), 1000)) {
    if (domain->Info().state == DomainState::kDying) continue;
    EXPECT_THAT(host.DestroyDomain(domain), IsOk());
  }
  EXPECT_EQ(host.Info().domains, 1u);
  ExpectClean(host, kDom0Pages);
}

// Calls that succeed in every run of a reasonable length.
constexpr const char* kAlwaysDone[] = {"check load",
                                       "create",
                                       "create briefly",
                                       "create processes",
                                       "destroy",
                                       "keep",
                                       "list runs",
                                       "map",
                                       "migrate",
                                       "restore",
                                       "resume",
                                       "run load",
                                       "set p2m",
                                       "set ram",
                                       "translate",
                                       "unmap",
                                       "up",
                                       "wake",
                                       "translate in process",
                                       "write"};

TEST(HostMixTest, EverythingAtOnceLeavesTheHostsAsTheyWere) {
  for (const uint64_t seed : TestSeeds(1)) {
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    Mix mix;
    std::vector<std::thread> threads;
    RunUntilTheEnd<Meddler>(mix, seed * 100 + 10, threads);
    RunUntilTheEnd<Meddler>(mix, seed * 100 + 11, threads);
    RunUntilTheEnd<Reader>(mix, seed * 100 + 12, threads);
    RunUntilTheEnd<LoadRunner>(mix, seed * 100 + 13, threads);
    threads.emplace_back([&mix] {
      while (!mix.ended()) {
        for (int host : {0, 1}) Audit(mix.host(host));
      }
    });
    RunOwners(mix, seed);
    mix.End();
    for (std::thread& thread : threads) thread.join();
    for (const int host : {0, 1}) {
      Audit(mix.host(host));
      ExpectSums(mix.host(host));
      ExpectNothingLeft(mix.host(host));
    }
    if (MixSteps() < 1000) continue;
    const auto done = mix.done();
    for (const char* what : kAlwaysDone) {
      EXPECT_TRUE(done.contains(what)) << what << " never succeeded";
    }
  }
}

}  // namespace
}  // namespace simvisor
