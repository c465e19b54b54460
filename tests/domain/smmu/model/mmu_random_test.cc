// SecondaryMmus and PfnClaims against plain models of them: clients that come,
// fault, answer, hang, break and leave while ranges open and close, in random
// order.
//
// SIMVISOR_MMU_SEQUENCES says how many sequences of 200 steps, 5,000 if it is
// not set, and a tenth of that under sanitizers; SIMVISOR_SEED=n repeats one.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/smmu/mmu_text.h"
#include "tests/domain/smmu/model/mmu_pair.h"
#include "tests/support/random_seed.h"
#include "tests/support/sanitized.h"

namespace simvisor {
namespace {

constexpr int kSteps = 200;

// How many sequences `given`, the text of the variable, asks for; 0 if it is
// not a number of sequences.
uint64_t MmuSequences(const char* given) {
  if (given == nullptr) return kSanitized ? 500 : 5000;
  uint64_t sequences = 0;
  return absl::SimpleAtoi(given, &sequences) ? sequences : 0;
}

class MmuSequence {
 public:
  explicit MmuSequence(uint64_t seed)
      : random_(seed), words_(24 + Pick(40)), most_clients_(1 + Pick(6)) {
    for (uint64_t pfn = 0; pfn < words_.size(); ++pfn) SetWord(pfn);
    pair_ = std::make_unique<MmuPair>(words_);
  }

  void Run() {
    for (int step = 0; step < kSteps && !testing::Test::HasFailure(); ++step) {
      Step();
      // Mostly all, but now and then clients are slow to read.
      pair_->Compare(OneIn(4) ? Pick(3) : 1000000);
    }
    if (testing::Test::HasFailure()) Describe();
  }

 private:
  using Client = MmuPair::Client;

  uint64_t Pick(uint64_t end) { return random_() % end; }
  bool OneIn(uint64_t times) { return Pick(times) == 0; }
  // One of `set`, or now and then any small number.
  uint64_t OneOf(const std::set<uint64_t>& set) {
    if (set.empty() || OneIn(12)) return Pick(30);
    return *std::next(set.begin(), Pick(set.size()));
  }

  // Mostly RAM in runs, so that faults may map ahead.
  void SetWord(uint64_t pfn) {
    const uint64_t kind = Pick(12);
    if (kind == 0) return words_.Set(pfn, P2mWord::Invalid());
    if (kind == 1) return words_.Set(pfn, P2mWord::Identity(Pfn(pfn)));
    if (kind == 2) return words_.Set(pfn, P2mWord::Foreign(Mfn(9000 + pfn)));
    if (kind < 6) bank_ = 1000 + Pick(8) * 1000;
    words_.Set(pfn, P2mWord::Ram(Mfn(bank_ + pfn)));
  }

  PfnExtent AnExtent() {
    if (OneIn(10)) return kEveryPfn;
    const uint64_t first = Pick(words_.size());
    return {Pfn(first), PageCount(1 + Pick(OneIn(3) ? 20 : 6))};
  }

  // Ascending and apart.
  std::vector<PfnExtent> Extents() {
    std::vector<PfnExtent> extents;
    uint64_t at = Pick(words_.size());
    if (OneIn(10)) return {kEveryPfn};
    // So many that a begin takes several messages.
    if (OneIn(100)) {
      for (uint64_t count = 1000 + Pick(1200); count > 0; --count, at += 2) {
        extents.push_back({Pfn(at), PageCount(1)});
      }
      return extents;
    }
    for (uint64_t count = 1 + Pick(3); count > 0; --count) {
      const uint64_t pages = 1 + Pick(6);
      extents.push_back({Pfn(at), PageCount(pages)});
      at += pages + 1 + Pick(8);
    }
    return extents;
  }

  void Step() {
    const uint64_t kind = Pick(100);
    if (kind < 8 || pair_->clients().empty()) return Join();
    if (kind < 30) return Change();
    if (kind < 35) return Time();
    if (kind < 40) return SampleOrLog();
    ByClient(pair_->clients()[Pick(pair_->clients().size())]);
  }

  void Join() {
    const bool full =
        std::count_if(pair_->clients().begin(), pair_->clients().end(),
                      [this](const Client& client) {
                        return IsHere(client);
                      }) >= static_cast<int64_t>(most_clients_);
    if (full || !pair_->changes().empty() || pair_->dying()) return Change();
    MmuSpec spec = {.name = absl::StrCat("client", ++names_), .intervals = {}};
    spec.rule = OneIn(2) ? RetryRule::kInterval : RetryRule::kGlobal;
    spec.events = OneIn(2) ? EventFilter::kMapped : EventFilter::kAll;
    spec.lease = absl::Milliseconds(100 + Pick(400));
    spec.fault_window = 1 + Pick(4);
    spec.resumable = OneIn(2);
    if (!OneIn(3)) {
      uint64_t at = Pick(10);
      for (uint64_t count = 1 + Pick(4); count > 0; --count) {
        const uint64_t pages = 1 + Pick(20);
        spec.intervals.push_back({Pfn(at), PageCount(pages)});
        at += pages + Pick(6);
      }
    }
    Note("register ", spec.name, " ", ExtentsText(spec.intervals), " rule ",
         static_cast<int>(spec.rule), " events ", static_cast<int>(spec.events),
         " window ", spec.fault_window, spec.resumable ? " resumable" : "");
    pair_->Register(spec, /*in_process=*/OneIn(5));
  }

  bool IsHere(const Client& client) const {
    const SubscriptionState state = pair_->StateOf(client);
    return state == SubscriptionState::kLive ||
           state == SubscriptionState::kDetached;
  }

  // --- Changes ---------------------------------------------------------------

  void Change() {
    if (domain_gone_) return CloseOne();
    const size_t open = pair_->changes().size();
    if (open > 0 && Pick(10) < 4 + open) return CloseOne();
    if (OneIn(250)) return EndDomain();
    if (OneIn(5)) {
      const uint64_t pfn = Pick(words_.size());
      Note("page ", pfn);
      return pair_->BeginPage(pfn, Reason());
    }
    if (OneIn(6)) return Fill();
    const std::vector<PfnExtent> pfns = Extents();
    const InvalidateReason reason = Reason();
    const bool blockable = !OneIn(3);
    Note("begin ", ExtentsText(pfns), " reason ", static_cast<int>(reason),
         blockable ? "" : " not blockable");
    pair_->Begin(pfns, reason, blockable);
  }

  InvalidateReason Reason() {
    static constexpr InvalidateReason kReasons[] = {
        InvalidateReason::kUnmap,   InvalidateReason::kUnmap,
        InvalidateReason::kReplace, InvalidateReason::kProtect,
        InvalidateReason::kProtect, InvalidateReason::kSuspend,
        InvalidateReason::kMigrate, InvalidateReason::kBoot};
    return kReasons[Pick(std::size(kReasons))];
  }

  void CloseOne() {
    if (pair_->changes().empty()) return;
    MmuPair::Change& change = pair_->changes()[Pick(pair_->changes().size())];
    const SecondaryMmus::Answers answers = pair_->AnswersTo(change);
    const bool abort = answers != SecondaryMmus::Answers::kGiven || OneIn(4);
    if (answers == SecondaryMmus::Answers::kPending && !OneIn(4)) return;
    if (!abort) ChangeWords(change);
    Note(abort ? "abort " : "end ", change.range);
    pair_->Close(change, abort);
  }

  // Only what all clients have let go of changes.
  void ChangeWords(const MmuPair::Change& change) {
    const bool unmap = change.reason == InvalidateReason::kUnmap;
    if (!unmap && change.reason != InvalidateReason::kReplace) return;
    for (const PfnExtent pfns : change.pfns) {
      for (uint64_t pfn = pfns.first.value();
           pfn < std::min(pfns.end().value(), words_.size()); ++pfn) {
        if (unmap) {
          words_.Set(pfn, P2mWord::Invalid());
        } else {
          SetWord(pfn);
        }
      }
    }
  }

  // Missing pages come back without a range.
  void Fill() {
    Note("fill");
    for (uint64_t pfn = 0; pfn < words_.size(); ++pfn) {
      if (words_.Lookup(Pfn(pfn)).is_invalid()) SetWord(pfn);
    }
  }

  void EndDomain() {
    static constexpr ReleaseReason kReasons[] = {ReleaseReason::kDestroyed,
                                                 ReleaseReason::kMigrated,
                                                 ReleaseReason::kShutdown};
    if (pair_->dying()) return;
    const ReleaseReason reason = kReasons[Pick(3)];
    Note("release ", static_cast<int>(reason));
    domain_gone_ = reason != ReleaseReason::kShutdown;
    pair_->Release(reason);
  }

  void Time() {
    const uint64_t ms = Pick(OneIn(4) ? 200 : 30);
    Note("tick ", ms);
    pair_->Expire(absl::Milliseconds(ms));
  }

  void SampleOrLog() {
    switch (Pick(5)) {
      case 0: {
        const PfnExtent pfns = AnExtent();
        Note("ask young ", ExtentsText({pfns}));
        return pair_->Ask(pfns, OneIn(2));
      }
      case 1:
        if (pair_->questions().empty()) return;
        Note("end young");
        return pair_->EndQuestion(Pick(pair_->questions().size()));
      case 2:
        logging_ = !logging_;
        Note("logging ", logging_);
        return pair_->SetLogging(logging_);
      case 3:
        Note("take granted");
        return pair_->TakeGranted();
      default:
        return pair_->CompareWritable(AnExtent());
    }
  }

  // --- Clients ---------------------------------------------------------------

  void ByClient(Client& client) {
    if (pair_->StateOf(client) == SubscriptionState::kDetached) {
      if (OneIn(3)) return Resume(client);
      if (!OneIn(10)) return;
    }
    const uint64_t kind = Pick(100);
    if (kind < 35) return Fault(client);
    if (kind < 62 && client.object != nullptr) return PlanCall(client);
    if (kind < 62) return Answer(client);
    if (kind < 70) return Commit(client);
    if (kind < 77 && client.object == nullptr) return Renew(client);
    if (kind < 85) return WatchOrUnwatch(client);
    if (kind < 88) return Drop(client);
    if (kind < 94) return Access(client);
    if (kind < 97 && client.object == nullptr) return Break(client);
    Leave(client);
  }

  void Fault(Client& client) {
    const FaultRequest request = AFault(client);
    Note(client.spec.name, " fault ", FaultText(request));
    pair_->Fault(client, request);
  }

  FaultRequest AFault(const Client& client) {
    FaultRequest request = {.req = ++reqs_,
                            .pfn = Pfn(Pick(words_.size() + 1))};
    // A number that is in use, or was once.
    if (OneIn(60)) request.req = OneOf(client.parked);
    request.write = OneIn(2);
    if (OneIn(3)) request.ahead = Pick(12);
    if (OneIn(200)) request.ahead = 505 + Pick(12);
    request.two_step = OneIn(3);
    request.wait = OneIn(3);
    return request;
  }

  // What an object does while it is called.
  void PlanCall(Client& client) {
    if (OneIn(20)) {
      Note(client.spec.name, " will retire in its next call");
      client.retire_inside = true;
      return;
    }
    FaultRequest request = AFault(client);
    request.req = ++reqs_;
    request.ahead = 0;
    Note(client.spec.name, " will fault in its next call ", FaultText(request));
    client.fault_inside = request;
  }

  void Commit(Client& client) {
    const uint64_t req = OneOf(client.resolved);
    Note(client.spec.name, " commit ", req);
    pair_->Commit(client, req);
  }

  void Answer(Client& client) {
    if (!client.young.empty() && OneIn(3)) {
      const uint64_t ev = OneOf(client.young);
      std::vector<PfnExtent> young;
      if (!OneIn(3)) young = {{Pfn(Pick(words_.size())), PageCount(Pick(9))}};
      Note(client.spec.name, " young ", ev, " ", ExtentsText(young));
      return pair_->AnswerYoung(client, ev, young);
    }
    const uint64_t ev = OneOf(client.events);
    if (OneIn(12)) {
      Note(client.spec.name, " nack ", ev);
      return pair_->Nack(client, ev);
    }
    Note(client.spec.name, " ack ", ev);
    pair_->Ack(client, ev);
    // Later acknowledgements of it are ignored; a few are made all the same.
    if (!OneIn(4)) client.events.erase(ev);
  }

  void Renew(Client& client) {
    Note(client.spec.name, " renew");
    pair_->Renew(client, ++reqs_);
  }

  void WatchOrUnwatch(Client& client) {
    if (pair_->dying()) return;
    if (client.spec.rule == RetryRule::kGlobal && !OneIn(20)) return;
    std::vector<PfnExtent>& watched = client.spec.intervals;
    if (!watched.empty() && OneIn(2)) {
      const PfnExtent pfns = watched[Pick(watched.size())];
      Note(client.spec.name, " unwatch ", ExtentsText({pfns}));
      pair_->Unwatch(client, ++reqs_, pfns);
      if (!OneIn(3)) std::erase(watched, pfns);
      return;
    }
    const PfnExtent pfns = {Pfn(Pick(words_.size())), PageCount(Pick(9))};
    Note(client.spec.name, " watch ", ExtentsText({pfns}));
    watched.push_back(pfns);
    pair_->Watch(client, ++reqs_, pfns);
  }

  void Drop(Client& client) {
    const std::vector<PfnExtent> pfns = Extents();
    Note(client.spec.name, " drop ", ExtentsText(pfns));
    pair_->Drop(client, pfns);
  }

  void Access(Client& client) {
    const uint64_t pfn = Pick(words_.size());
    const bool write = OneIn(2);
    Note(client.spec.name, write ? " store " : " load ", pfn);
    pair_->Access(client, pfn, write, ++reqs_);
  }

  void Break(Client& client) {
    Note(client.spec.name, " detach");
    pair_->Detach(client);
  }

  void Resume(Client& client) {
    // It has not read `registered` yet.
    if (client.token.empty()) return;
    // What it has taken since it last confirmed something may be repeated.
    uint64_t last_ev =
        client.last_ev - Pick(client.last_ev - client.confirmed + 1);
    if (OneIn(20)) last_ev = client.last_ev + 1000000;
    const bool right_token = !OneIn(20);
    Note(client.spec.name, " reattach ", last_ev,
         right_token ? "" : " with another token");
    pair_->Reattach(client, last_ev, right_token);
  }

  void Leave(Client& client) {
    if (client.over && OneIn(2)) {
      Note(client.spec.name, " forget");
      return pair_->Forget(client);
    }
    switch (Pick(8)) {
      case 0:
      case 1:
        Note(client.spec.name, " unregister");
        return pair_->Unregister(client);
      case 2:
        Note(client.spec.name, " retire");
        return pair_->Retire(client);
      case 3:
        Note(client.spec.name, " fence");
        return pair_->Fence(client);
      default:
        return;
    }
  }

  template <typename... Parts>
  void Note(const Parts&... parts) {
    steps_.push_back(absl::StrCat(parts...));
  }
  void Describe() const {
    std::string text = absl::StrCat(words_.size(), " pfns");
    for (const std::string& step : steps_) absl::StrAppend(&text, "\n  ", step);
    ADD_FAILURE() << text;
  }

  std::mt19937_64 random_;
  FakeWords words_;
  const uint64_t most_clients_;
  uint64_t bank_ = 1000;
  std::unique_ptr<MmuPair> pair_;
  uint64_t names_ = 0;
  uint64_t reqs_ = 100;
  bool logging_ = false;
  bool domain_gone_ = false;
  std::vector<std::string> steps_;
};

TEST(MmuRandomTest, LibraryFollowsTheRules) {
  const uint64_t sequences =
      MmuSequences(std::getenv("SIMVISOR_MMU_SEQUENCES"));
  ASSERT_GT(sequences, 0u) << "SIMVISOR_MMU_SEQUENCES is to be a number above "
                              "0, of digits only";
  const std::vector<uint64_t> seeds = TestSeeds(sequences);
  std::cout << "seeds " << seeds.front() << " to " << seeds.back() << "\n";
  for (const uint64_t seed : seeds) {
    SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
    MmuSequence(seed).Run();
    if (HasFailure()) return;
  }
}

TEST(MmuSequencesTest, InvalidNumberOfSequencesIsRefused) {
  EXPECT_EQ(MmuSequences("2500"), 2500u);
  for (const char* const text : {"0", "2,500", "-1", "", "many"}) {
    EXPECT_EQ(MmuSequences(text), 0u) << text;
  }
}

}  // namespace
}  // namespace simvisor
