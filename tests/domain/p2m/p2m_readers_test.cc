// Lookups without a lock, against a writer that never pauses.
//
// Each round makes a list or a domain, lets readers look up watched pfns while
// one thread changes them in every possible way, and finally checks each answer
// against what was there at the time (see WordHistory).  Meant for
// ThreadSanitizer too.  SIMVISOR_READERS_SECONDS in the environment sets how
// long the rounds go on.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "domain/p2m/p2m_list.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/p2m/word_history.h"
#include "tests/support/change_permit.h"
#include "tests/support/host_testing.h"
#include "tests/support/limited_pages.h"
#include "tests/support/p2m_pages.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

using Fill = P2mList::RangeFill;

constexpr int kReaders = 2;
constexpr int kWatched = 48;
// Bounds memory, not time: a reader with this many answers waits.
constexpr size_t kMaxAnswers = size_t{1} << 19;

// Runs `round(seed)` for each of `count` seeds, or for as long as the
// environment says, and in any case until lookups have overlapped changes: on a
// busy machine the threads may take turns for a while.
template <typename Round>
void RunRounds(uint64_t count, const Round& round) {
  const auto start = std::chrono::steady_clock::now();
  uint64_t seconds = 0;
  const char* const given = std::getenv("SIMVISOR_READERS_SECONDS");
  if (given != nullptr && !absl::SimpleAtoi(given, &seconds)) {
    FAIL() << "SIMVISOR_READERS_SECONDS=" << given << " is no number";
  }
  const std::vector<uint64_t> seeds = TestSeeds(count);
  uint64_t raced = 0;
  const auto more = [&](size_t done) {
    return done < seeds.size() || (raced == 0 && done < 100 * seeds.size()) ||
           std::chrono::steady_clock::now() - start <
               std::chrono::seconds(seconds);
  };
  for (size_t i = 0; more(i); ++i) {
    const uint64_t seed = i < seeds.size() ? seeds[i] : seeds.back() + i;
    SCOPED_TRACE(absl::StrCat("SIMVISOR_SEED=", seed));
    raced += round(seed);
    if (testing::Test::HasFailure()) return;
  }
  testing::Test::RecordProperty("raced", absl::StrCat(raced));
  EXPECT_GT(raced, 0) << "no lookup met a change";
}

// Readers of one kind, which run until told to stop.
class Readers {
 public:
  // `look(reader, answers)` makes a few lookups; false ends the reader.
  template <typename Look>
  void Start(const Look& look) {
    for (int i = 0; i < kReaders; ++i) {
      answers_[i].reserve(kMaxAnswers);
      threads_.emplace_back([this, look, i] {
        while (!stop_.load(std::memory_order_relaxed) &&
               answers_[i].size() < kMaxAnswers && look(i, answers_[i])) {
          started_.fetch_or(1 << i);
        }
        started_.fetch_or(1 << i);
      });
    }
    while (started_.load() != (1 << kReaders) - 1) std::this_thread::yield();
  }
  void Stop() { stop_ = true; }
  // Waits for all readers and checks; returns how many answers overlapped a
  // change.
  uint64_t Check(const WordHistory& history) {
    for (std::thread& thread : threads_) thread.join();
    uint64_t raced = 0;
    for (const auto& answers : answers_) raced += history.Check(answers);
    return raced;
  }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> started_ = 0;
  std::vector<WordHistory::Answer> answers_[kReaders];
  std::vector<std::thread> threads_;
};

// --- A list without a domain -------------------------------------------------

// Gives the readers a turn between two parts of a change.
class YieldingPages : public LimitedPages {
 public:
  PfnExtent Take(PageCount count) override {
    std::this_thread::yield();
    return LimitedPages::Take(count);
  }
};

// A generation that a reader saw, between two readings of the clock.
struct GenerationSeen {
  uint64_t before, after, generation;
};

class ListRound {
 public:
  ListRound(const Abi& abi, uint64_t seed) : abi_(abi), random_(seed) {
    const uint64_t area = 3 * abi_.mid_span();
    list_ = TestList::Make(abi_, Pfn(area));
    const uint64_t pages = abi_.mid_span() / 2 + Pick(abi_.mid_span());
    EXPECT_THAT(list_.Build(PageCount(pages), source_), IsOk());
    list_.StoreFrames(Pfn(0), {Mfn(5000), PageCount(pages)});
    list_.built->MarkIdentity(kPermit, Pfn(pages / 4), Pfn(pages / 3));
    EXPECT_THAT(list_.Relocate(Pfn(area), source_), IsOk());
    EXPECT_THAT(list_->Publish(source_), IsOk());
    for (int i = 0; i < kWatched; ++i) watched_.push_back(PickPfn());
    history_ = std::make_unique<WordHistory>(Words());
    generations_.push_back({list_->generation(), false});
  }

  uint64_t Run(int operations) {
    std::vector<GenerationSeen> seen[kReaders];
    Readers readers;
    readers.Start([&](int reader, std::vector<WordHistory::Answer>& answers) {
      const uint64_t before = history_->Now();
      const uint64_t generation = list_->generation();
      seen[reader].push_back({before, history_->Now(), generation});
      for (uint32_t i = 0; i < kWatched; ++i) {
        WordHistory::Answer answer = {history_->Now(), 0, i, P2mWord()};
        answer.word = list_->Lookup(watched_[i]);
        answer.after = history_->Now();
        answers.push_back(answer);
      }
      return true;
    });
    for (int i = 0; i < operations; ++i) {
      history_->Begin();
      const bool published = Change();
      generations_.push_back({list_->generation(), published});
      history_->End(Words());
    }
    readers.Stop();
    const uint64_t raced = readers.Check(*history_);
    for (const auto& of_reader : seen) {
      for (const GenerationSeen& one : of_reader) CheckGeneration(one);
    }
    EXPECT_GT(history_->changes(), 0);
    EXPECT_THAT(list_->CheckInvariants(), IsOk());
    return raced;
  }

 private:
  uint64_t Pick(uint64_t below) { return random_() % below; }
  // Often at the edge of a leaf or mid, and now and then past the list.
  Pfn PickPfn() {
    uint64_t pfn = Pick(3 * abi_.mid_span());
    if (Pick(3) == 0) pfn -= pfn % abi_.leaf_span();
    if (Pick(6) == 0) pfn -= pfn % abi_.mid_span();
    if (Pick(12) == 0) pfn += 3 * abi_.mid_span();
    return Pfn(pfn);
  }
  std::vector<P2mWord> Words() const {
    std::vector<P2mWord> words;
    for (const Pfn pfn : watched_) words.push_back(list_->Lookup(pfn));
    return words;
  }

  // A range that often begins or ends at a watched pfn, or covers a whole leaf
  // or mid.
  PfnExtent PickRange() {
    const Pfn size = list_->p2m_size();
    Pfn first = std::min(Pick(2) == 0 ? watched_[Pick(kWatched)] : PickPfn(),
                         size - PageCount(1));
    uint64_t count = 1 + Pick(Pick(2) == 0 ? 4 : 3 * abi_.leaf_span());
    if (Pick(4) == 0) {
      const uint64_t span = Pick(3) == 0 ? abi_.mid_span() : abi_.leaf_span();
      first = Pfn(first.value() - first.value() % span);
      count = span;
    }
    return {first, std::min(PageCount(count), size - first)};
  }

  // One random change; true if it published the tree.
  bool Change() {
    source_.longest = 1 + Pick(2 * abi_.words_per_page);
    const PfnExtent range = PickRange();
    const Fill fills[] = {Fill::Missing(), Fill::Identity(),
                          Fill::Ram(Mfn(Pick(1 << 24)))};
    const Fill fill = fills[Pick(3)];
    switch (Pick(8)) {
      case 0:
        EXPECT_THAT(list_->Set(kPermit, range.first,
                               P2mWord::Foreign(Mfn(Pick(1000))), source_),
                    IsOk());
        return false;
      case 1:
        EXPECT_THAT(list_->AllocEntry(range.first, source_), IsOk());
        return false;
      case 2:
        list_->TrySet(kPermit, range.first, P2mWord::Ram(Mfn(Pick(1000))));
        return false;
      case 3:
        EXPECT_THAT(list_->Publish(source_), IsOk());
        return true;
      case 4: {
        uint64_t next = Pick(1 << 24);
        // Refused while there are foreign words; then nothing changes.
        list_
            .ReplaceFrames([&](PfnExtent pfns) {
              const uint64_t count = 1 + Pick(pfns.count.value());
              next += count + 1;
              return MfnExtent{Mfn(next), PageCount(count)};
            })
            .IgnoreError();
        return false;
      }
      default:
        EXPECT_THAT(list_->SetRange(kPermit, range, fill, source_), IsOk());
        return false;
    }
  }

  // Odd only during an operation, and only a publish sets it back.
  void CheckGeneration(const GenerationSeen& seen) const {
    const uint64_t first = WordHistory::OperationsEnded(seen.before);
    const uint64_t last = WordHistory::OperationsBegun(seen.after);
    if (seen.generation % 2 != 0) {
      EXPECT_GT(last, first) << "odd with no change under way";
    }
    for (uint64_t i = first + 1; i <= last; ++i) {
      if (generations_[i].published) return;
    }
    EXPECT_GE(seen.generation, generations_[first].value);
    EXPECT_LE(seen.generation, generations_[last].value);
  }

  struct Generation {
    uint64_t value;  // after the operation of this index
    bool published;  // by that operation
  };

  const Abi& abi_;
  std::mt19937_64 random_;
  YieldingPages source_;
  TestList list_;
  std::vector<Pfn> watched_;
  std::unique_ptr<WordHistory> history_;
  std::vector<Generation> generations_;
};

TEST(P2mReadersTest, LookupsAnswerWhatAnX86_64ListHolds) {
  RunRounds(
      10, [](uint64_t seed) { return ListRound(kAbiX86_64, seed).Run(1500); });
}

TEST(P2mReadersTest, LookupsAnswerWhatAPaeListHolds) {
  RunRounds(4, [](uint64_t seed) {
    return ListRound(kAbiX86_32Pae, seed).Run(1500);
  });
}

// --- A domain, to its end ----------------------------------------------------

class DomainRound {
 public:
  explicit DomainRound(uint64_t seed)
      : random_(seed),
        host_(MakeHost(
            30000, seed % 2 == 0 ? Placement::kLowest : Placement::kScatter)) {
    DomainSpec spec = MakeSpec("a", kPages, kMaxPages);
    spec.arch = Pick(2) == 0 ? Arch::kX86_64 : Arch::kX86_32Pae;
    domain_ = MustCreate(*host_, spec);
    EXPECT_THAT(domain_->balloon().SetMaximum({"set maximum memory"},
                                              PageCount(kMaxPages)),
                IsOk());
    for (int i = 0; i < kWatched; ++i) {
      uint64_t pfn = Pick(Pick(8) == 0 ? 500000 : kMaxPages + 500);
      if (Pick(4) == 0) pfn -= pfn % domain_->abi().leaf_span();
      watched_.push_back(pfn);
    }
    history_ = std::make_unique<WordHistory>(Words());
  }

  // The domain is destroyed while readers use it, and the last reader drops it.
  uint64_t Run(int operations) {
    Readers readers;
    std::atomic<uint64_t> destroyed = ~uint64_t{0};
    readers.Start([this, &destroyed, domain = domain_](
                      int, std::vector<WordHistory::Answer>& answers) {
      return Look(*domain, destroyed, answers);
    });
    for (int i = 0; i < operations; ++i) {
      history_->Begin();
      Change();
      history_->End(Words());
    }
    const std::vector<P2mWord> last = Words();
    history_->Begin();
    EXPECT_THAT(host_->DestroyDomain(domain_->id()), IsOk());
    domain_.reset();
    history_->End(last);
    destroyed = history_->Now();
    // Readers end by themselves when they learn that it is dying.
    const uint64_t raced = readers.Check(*history_);
    ExpectClean(*host_, kDom0Pages);
    return raced;
  }

 private:
  static constexpr uint64_t kPages = 5000;
  static constexpr uint64_t kMaxPages = 9000;

  uint64_t Pick(uint64_t below) { return random_() % below; }
  std::vector<P2mWord> Words() const {
    std::vector<P2mWord> words;
    EXPECT_THAT(domain_->p2m().Translate(watched_, words), IsOk());
    return words;
  }

  // Looks up some pfns in one call; false once the domain is dying.
  bool Look(Domain& domain, const std::atomic<uint64_t>& destroyed,
            std::vector<WordHistory::Answer>& answers) {
    constexpr uint32_t kPerCall = 4;
    std::vector<P2mWord> words;
    for (uint32_t i = 0; i < kWatched; i += kPerCall) {
      words.clear();
      const uint64_t end = destroyed.load();
      const uint64_t before = history_->Now();
      const absl::Status status = domain.p2m().Translate(
          absl::MakeConstSpan(watched_).subspan(i, kPerCall), words);
      const uint64_t after = history_->Now();
      if (!status.ok()) {
        EXPECT_THAT(status, IsError(absl::StatusCode::kFailedPrecondition,
                                    Reason::kDomainDying, testing::_));
        return false;
      }
      EXPECT_LT(before, end) << "answered after its end";
      for (uint32_t j = 0; j < words.size(); ++j) {
        answers.push_back({before, after, i + j, words[j]});
      }
    }
    return true;
  }

  void Change() {
    const PageCount pages(1 + Pick(Pick(2) == 0 ? 30 : 3000));
    const PfnExtent range = {Pfn(watched_[Pick(kWatched)]),
                             PageCount(1 + Pick(Pick(2) == 0 ? 3 : 1500))};
    // Gives the readers a turn between two parts of a change.
    const auto yield = [] {
      std::this_thread::yield();
      return absl::OkStatus();
    };
    // Refused calls change nothing, which is fine too.
    switch (Pick(7)) {
      case 0:
      case 1:
        domain_->balloon()
            .Down({"balloon down", yield}, pages, true)
            .IgnoreError();
        break;
      case 2:
      case 3:
        domain_->balloon().Up({"balloon up", yield}, pages, true).IgnoreError();
        break;
      case 4:
        domain_->balloon()
            .SetTarget({"set memory target", yield},
                       PageCount(1000 + Pick(8000)))
            .IgnoreError();
        break;
      case 5:
        domain_->p2m()
            .MarkIdentity({"mark identity"}, range.first, range.end(), true)
            .IgnoreError();
        break;
      default:
        domain_->p2m()
            .SetRange({"set p2m"}, range,
                      Pick(2) == 0 ? P2mClass::kMissing : P2mClass::kIdentity,
                      Mfn(), RamPolicy::kRelease)
            .IgnoreError();
        break;
    }
  }

  std::mt19937_64 random_;
  std::unique_ptr<Host> host_;
  std::shared_ptr<Domain> domain_;
  std::vector<uint64_t> watched_;
  std::unique_ptr<WordHistory> history_;
};

TEST(P2mReadersTest, TranslationsAnswerWhatADomainHeldUntilItsEnd) {
  RunRounds(8, [](uint64_t seed) { return DomainRound(seed).Run(200); });
}

}  // namespace
}  // namespace simvisor
