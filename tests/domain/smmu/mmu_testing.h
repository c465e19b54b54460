// A domain's secondary MMUs without the domain: words that a test sets, and
// messages as short texts.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_MMU_TESTING_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_MMU_TESTING_H_

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "domain/smmu/secondary_mmus.h"
#include "domain/units/findings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/extents.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

// Pfn p below `pages` is RAM in frame 4096 + p, unless a test says otherwise.
class FakeWords final : public PfnResolver {
 public:
  explicit FakeWords(uint64_t pages) : pages_(pages) {}

  // Not while other threads look up.
  void Set(Pfn pfn, P2mWord word) { changed_[pfn] = word; }
  P2mWord Lookup(Pfn pfn) const override {
    if (const auto at = changed_.find(pfn); at != changed_.end()) {
      return at->second;
    }
    return pfn.value() < pages_ ? P2mWord::Ram(Mfn(4096 + pfn.value()))
                                : P2mWord::Invalid();
  }

 private:
  const uint64_t pages_;
  absl::btree_map<Pfn, P2mWord> changed_;
};

// "begin 1 [0,8) unmap" and the like, with the number in front.
struct MessageText {
  std::string operator()(const mmu::Registered& m) const {
    return absl::StrCat("registered ", m.epoch, " ", m.seq);
  }
  std::string operator()(const mmu::Resumed&) const { return "resumed"; }
  std::string operator()(const mmu::RangeBegin& m) const {
    std::string text = absl::StrCat("begin ", static_cast<uint64_t>(m.range));
    if (m.pfns.size() <= 3) {
      for (const PfnExtent e : m.pfns) {
        absl::StrAppend(&text, " [", e.first.value(), ",", e.end().value(),
                        ")");
      }
    } else {
      absl::StrAppend(&text, " of ", m.pfns.size());
    }
    return absl::StrCat(text, m.blockable ? "" : " now", m.more ? " more" : "");
  }
  std::string operator()(const mmu::RangeEnd& m) const {
    return absl::StrCat("end ", static_cast<uint64_t>(m.range), " ", m.seq);
  }
  std::string operator()(const mmu::RangeAbort& m) const {
    return absl::StrCat("abort ", static_cast<uint64_t>(m.range), " ", m.seq);
  }
  std::string operator()(const mmu::PageInvalidate& m) const {
    return absl::StrCat("page ", static_cast<uint64_t>(m.range), " ",
                        m.pfn.value());
  }
  std::string operator()(const mmu::Young& m) const {
    return absl::StrCat("young [", m.pfns.first.value(), ",",
                        m.pfns.end().value(), ")");
  }
  std::string operator()(const mmu::Release& m) const {
    return absl::StrCat("release ", static_cast<int>(m.reason));
  }
  std::string operator()(const mmu::Resolved& m) const {
    return absl::StrCat("resolved ", m.req, " ", m.mfn.value(), " ", m.seq);
  }
  std::string operator()(const mmu::Installed& m) const {
    return absl::StrCat("installed ", m.req, " ", m.pfn.value(), " ",
                        m.mfn.value(), " x", m.count,
                        m.writable ? " rw" : " ro");
  }
  std::string operator()(const mmu::NotMapped& m) const {
    return absl::StrCat("not_mapped ", m.req, " ",
                        std::string(P2mClassName(m.p2m_class)));
  }
  std::string operator()(const mmu::Retry& m) const {
    constexpr const char* kCauses[] = {"invalidating", "changed", "throttled"};
    return absl::StrCat("retry ", m.req, " ",
                        kCauses[static_cast<int>(m.cause)]);
  }
  std::string operator()(const mmu::FaultError& m) const {
    return absl::StrCat("error ", m.req, " ", ReasonOf(m.status).value_or("?"));
  }
  std::string operator()(const mmu::Renewed& m) const {
    return m.extended ? "renewed" : "kept";
  }
  std::string operator()(const mmu::Watched& m) const {
    return absl::StrCat("watched ", m.req, m.deferred ? " deferred" : "");
  }
  std::string operator()(const mmu::Unwatched& m) const {
    return absl::StrCat("unwatched ", m.req);
  }
  std::string operator()(const mmu::Unregistered&) const {
    return "unregistered";
  }
  std::string operator()(const mmu::Fenced& m) const {
    return absl::StrCat("fenced ", static_cast<int>(m.cause));
  }
  std::string operator()(const mmu::Accessed& m) const {
    return absl::StrCat("accessed ", m.req);
  }
};

class MmuTest : public testing::Test {
 protected:
  // Every test ends with a clean audit.
  ~MmuTest() override { ExpectClean(); }

  void ExpectClean() {
    std::vector<std::string> found;
    Findings findings(DomainId(3), found);
    mmus_.Check(findings, [&](const MappingRun& run) {
      for (uint64_t i = 0; i < run.count.value(); ++i) {
        EXPECT_EQ(words_.Lookup(run.pfn + PageCount(i)).Number(),
                  run.mfn.value() + i);
      }
    });
    EXPECT_THAT(found, testing::IsEmpty());
  }

  SubscriptionId Register(MmuSpec spec, SecondaryMmus::Holder holder = {}) {
    const Context context(domain_, "registration");
    auto place = quota_.Take(context);
    EXPECT_THAT(place, IsOk());
    const auto id = mmus_.Insert(context, std::move(spec), *std::move(place),
                                 std::move(holder), 1, now_);
    EXPECT_THAT(id, IsOk());
    return *id;
  }
  SubscriptionId Register(const std::string& name) {
    MmuSpec spec;
    spec.name = name;
    return Register(std::move(spec));
  }
  static MmuSpec Intervals(std::vector<PfnExtent> intervals) {
    MmuSpec spec;
    spec.name = "gpu";
    spec.rule = RetryRule::kInterval;
    spec.intervals = std::move(intervals);
    return spec;
  }

  void Fault(SubscriptionId id, uint64_t req, uint64_t pfn,
             bool write = false) {
    FaultRequest request;
    request.req = req;
    request.pfn = Pfn(pfn);
    request.write = write;
    EXPECT_THAT(mmus_.Fault(id, request), IsOk());
  }
  void Resolve(SubscriptionId id, uint64_t req, uint64_t pfn,
               bool write = false) {
    FaultRequest request;
    request.req = req;
    request.pfn = Pfn(pfn);
    request.write = write;
    request.two_step = true;
    EXPECT_THAT(mmus_.Fault(id, request), IsOk());
  }
  void Park(SubscriptionId id, uint64_t req, uint64_t pfn) {
    FaultRequest request;
    request.req = req;
    request.pfn = Pfn(pfn);
    request.wait = true;
    EXPECT_THAT(mmus_.Fault(id, request), IsOk());
  }
  RangeId Begin(PfnExtent pfns,
                InvalidateReason reason = InvalidateReason::kUnmap,
                bool blockable = true) {
    return mmus_.BeginRange({pfns}, reason, blockable, &gate_, now_);
  }
  bool Ack(SubscriptionId id, uint64_t ev) {
    const auto counted = mmus_.Ack(id, ev, now_);
    EXPECT_THAT(counted, IsOk());
    return counted.ok() && *counted;
  }

  // Messages since the last look: "1 registered 1 0".
  std::vector<std::string> Inbox(SubscriptionId id) {
    std::vector<std::string> texts;
    bool over = false;
    for (const mmu::Message& message : mmus_.TakeMessages(id, 9999, &over)) {
      texts.push_back(absl::StrCat(message.ev, " ",
                                   std::visit(MessageText(), message.body)));
    }
    return texts;
  }
  std::vector<std::string> Mapped(SubscriptionId id) {
    std::vector<MappingRun> runs;
    EXPECT_THAT(mmus_.ListMappings(id, Pfn(0), 9999, runs), IsOk());
    std::vector<std::string> texts;
    for (const MappingRun& run : runs) {
      texts.push_back(absl::StrCat(run.pfn.value(), " x", run.count.value(),
                                   run.writable ? " rw" : " ro"));
    }
    return texts;
  }

  DomainIdentity domain_{DomainId(3), "web"};
  FakeWords words_{64};
  MmuQuota quota_;
  absl::Time now_ = absl::UnixEpoch();
  ChangeGate gate_;
  SecondaryMmus mmus_{domain_, words_};
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_MMU_TESTING_H_
