// HostModel: what must hold between calls.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/domain/model/host_model.h"

namespace simvisor {

void HostModel::CheckSums() {
  const AuditReport audit = host_->Audit();
  EXPECT_THAT(audit.findings, testing::IsEmpty());
  EXPECT_EQ(audit.domains, guests_.size() + dying_.size());
  const HostInfo info = host_->Info();
  EXPECT_EQ(info.free.value(), free_);
  EXPECT_EQ(info.owned.value(), owners_.size());
  EXPECT_EQ(info.free + info.owned + info.reserved, info.total);
  EXPECT_EQ(info.domains, guests_.size() + dying_.size());
  uint64_t current = held_.size();
  for (const auto& [id, guest] : guests_) current += guest.model.current();
  EXPECT_EQ(current, owners_.size());
}

void HostModel::CheckEverything() {
  for (const auto& [id, guest] : guests_) {
    SCOPED_TRACE(absl::StrCat("domain ", id));
    CheckInfo(guest);
    CheckWords(guest);
    CheckVcpus(guest);
    CheckSpaces(guest);
  }
  CheckFrames();
  CheckContents();
}

void HostModel::CheckInfo(const Guest& guest) {
  const DomainInfo info = guest.domain->Info();
  const GuestModel& model = guest.model;
  EXPECT_EQ(info.name, guest.name);
  EXPECT_EQ(info.state, guest.state);
  const uint64_t held = HeldBy(guest.domain->id().value());
  EXPECT_EQ(info.memory.foreign_held.value(), held);
  EXPECT_EQ(info.memory.current.value(), model.current() + held);
  EXPECT_EQ(info.memory.max.value(), model.limits().max);
  EXPECT_EQ(info.memory.static_max.value(), model.limits().static_max);
  EXPECT_EQ(info.memory.target.value(), model.limits().target);
  EXPECT_EQ(info.memory.balloon.value(), model.balloon().size());
  EXPECT_EQ(info.memory.available.value(),
            model.booted() ? model.free().size() : 0);
  EXPECT_EQ(info.memory.p2m_pages.value(), model.structure().size());
  ASSERT_EQ(info.balloon_driver.has_value(), model.booted());
  if (!model.booted()) return;
  EXPECT_EQ(info.balloon_driver->current.value(), model.current());
  if (guest.state == DomainState::kRunning) {
    EXPECT_EQ(info.balloon_driver->target.value(), model.driver_target());
  }
  EXPECT_EQ(info.balloon_driver->high.value(), model.balloon_high());
  EXPECT_EQ((info.balloon_driver->low + info.balloon_driver->high).value(),
            model.balloon().size());
}

// Compares run by run; each run must agree with the model for every pfn.
void HostModel::CheckWords(const Guest& guest) {
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  for (Pfn at(0); at.value() < guest.model.size();) {
    const auto next = guest.domain->p2m().ListRuns(
        at, Pfn::None(), P2mView::kResolved, RunMerge::kByFrame, 1000, runs,
        &generation);
    ASSERT_THAT(next, IsOk());
    at = *next;
  }
  uint64_t pfn = 0;
  const auto& words = guest.model.words();
  for (const P2mRun& run : runs) {
    ASSERT_EQ(run.pfns.first.value(), pfn);
    auto word = words.lower_bound(pfn);
    if (run.word.Class() == P2mClass::kIdentity) {
      EXPECT_EQ(run.word, P2mWord::Identity(Pfn(pfn)));
      EXPECT_TRUE(word == words.end() || word->first >= run.pfns.end().value())
          << "pfn " << word->first << " reads identity";
    } else {
      for (; pfn < run.pfns.end().value(); ++pfn) {
        const P2mWord expected =
            run.word.is_invalid()
                ? P2mWord()
                : P2mWord::FromRaw(run.word.raw() +
                                   (Pfn(pfn) - run.pfns.first).value());
        ASSERT_EQ(guest.model.Word(pfn).ToString(), expected.ToString()) << pfn;
      }
    }
    pfn = run.pfns.end().value();
  }
  EXPECT_EQ(pfn, guest.model.size());

  const auto report = guest.domain->p2m().Summary();
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->summary.ram + guest.model.unmapped().size(),
            guest.model.current());
  if (guest.model.booted()) {
    EXPECT_EQ(report->summary.private_leaves,
              guest.model.private_leaves().size());
  }
}

// Compares the m2p with the domains' words.
void HostModel::CheckFrames() {
  std::map<uint64_t, FrameRun> expected;
  for (const auto& [id, guest] : guests_) {
    for (const auto& [pfn, mfn] : guest.model.words()) {
      if (mfn == GuestModel::kMissing) continue;
      FrameRun frame;
      frame.state = FrameState::kOwned;
      frame.owner = DomainId(id);
      frame.first_pfn = Pfn(pfn);
      EXPECT_TRUE(expected.emplace(mfn, frame).second) << mfn;
    }
    for (const uint64_t mfn : guest.model.unmapped()) {
      FrameRun frame;
      frame.state = FrameState::kOwned;
      frame.owner = DomainId(id);
      EXPECT_TRUE(expected.emplace(mfn, frame).second) << mfn;
    }
  }
  for (const auto& [mfn, owner] : held_) {
    FrameRun frame;
    frame.state = FrameState::kOwned;
    frame.owner = DomainId(owner);
    EXPECT_TRUE(expected.emplace(mfn, frame).second) << mfn;
  }
  EXPECT_EQ(expected.size(), owners_.size());
  std::vector<FrameRun> runs;
  const MfnExtent all = ExtentBetween(Mfn(0), host_->max_mfn());
  ASSERT_THAT(host_->LookupFrames(all, all.count.value(), runs), IsOk());
  uint64_t owned = 0;
  for (const FrameRun& run : runs) {
    if (run.state != FrameState::kOwned) continue;
    for (Mfn mfn = run.frames.first; mfn < run.frames.end();
         mfn += PageCount(1)) {
      ASSERT_TRUE(expected.contains(mfn.value())) << mfn.value();
      const FrameRun& frame = expected.at(mfn.value());
      const PageCount offset = mfn - run.frames.first;
      EXPECT_EQ(run.owner, frame.owner) << mfn.value();
      EXPECT_EQ(
          run.first_pfn.is_none() ? run.first_pfn : run.first_pfn + offset,
          frame.first_pfn)
          << mfn.value();
      ++owned;
    }
  }
  EXPECT_EQ(owned, expected.size());
}

bool HostModel::IsKernelFrame(const GuestModel& model, uint64_t mfn) {
  const auto holds = [&](uint64_t pfn) { return model.words().at(pfn) == mfn; };
  return std::any_of(model.structure().begin(), model.structure().end(),
                     holds) ||
         std::any_of(model.spaces().pages().begin(),
                     model.spaces().pages().end(), holds);
}

bool HostModel::IsKernelFrame(uint64_t mfn) const {
  return !held_.contains(mfn) &&
         IsKernelFrame(guests_.at(owners_.at(mfn)).model, mfn);
}

void HostModel::CheckContents() {
  Page page;
  bool zero = false;
  for (const auto& [mfn, expected] : contents_) {
    page.fill(0);
    ASSERT_THAT(host_->ReadFrame(Mfn(mfn), absl::MakeSpan(page), &zero),
                IsOk());
    if (IsKernelFrame(mfn)) continue;
    EXPECT_TRUE(std::equal(page.begin(), page.end(), expected.begin())) << mfn;
  }
  // A frame that was written and freed reads as zeros, whatever its owner.
  for (const uint64_t mfn : freed_contents_) {
    auto owner = owners_.find(mfn);
    if (owner == owners_.end() || contents_.contains(mfn)) continue;
    if (held_.contains(mfn) || IsKernelFrame(mfn)) continue;
    ASSERT_THAT(host_->ReadFrame(Mfn(mfn), absl::MakeSpan(page), &zero),
                IsOk());
    EXPECT_TRUE(zero) << mfn;
  }
}

void HostModel::LearnFrames(Guest& guest) {
  const std::vector<uint64_t> pfns = guest.model.Unlearnt();
  std::vector<P2mWord> words;
  ASSERT_THAT(guest.domain->p2m().Translate(pfns, words), IsOk());
  for (size_t i = 0; i < pfns.size(); ++i) {
    ASSERT_EQ(words[i].Class(), P2mClass::kRam) << "pfn " << pfns[i];
    const uint64_t mfn = words[i].Number();
    ASSERT_LT(mfn, host_->max_mfn().value());
    ASSERT_GE(mfn, 256) << "a frame of the hypervisor's";
    ASSERT_TRUE(owners_.emplace(mfn, guest.domain->id().value()).second)
        << "mfn " << mfn << " has two owners";
    guest.model.Learn(pfns[i], mfn);
    --free_;
  }
}

uint64_t HostModel::Release(const std::vector<uint64_t>& frames) {
  uint64_t held = 0;
  for (const uint64_t mfn : frames) {
    if (refs_.contains(mfn)) {
      held_[mfn] = owners_.at(mfn);
      ++held;
      continue;
    }
    EXPECT_EQ(owners_.erase(mfn), 1) << mfn;
    if (contents_.erase(mfn) > 0) freed_contents_.insert(mfn);
    ++free_;
  }
  return held;
}

void HostModel::DestroyAll() {
  while (guests_.size() > 1) {
    DestroyGuest(std::prev(guests_.end())->first, false);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  const HostInfo info = host_->Info();
  EXPECT_EQ(info.owned.value(), guests_.at(0).model.current() + held_.size());
  EXPECT_EQ(info.owned + info.free + info.reserved, info.total);
}

}  // namespace simvisor
