// HostModel: foreign frames, and mfn to pfn.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/domain/model/host_model.h"

namespace simvisor {

uint64_t HostModel::HeldBy(uint16_t id) const {
  return static_cast<uint64_t>(
      std::count_if(held_.begin(), held_.end(),
                    [id](const auto& frame) { return frame.second == id; }));
}

bool HostModel::Unref(uint64_t mfn) {
  if (--refs_.at(mfn) > 0) return false;
  refs_.erase(mfn);
  const auto held = held_.find(mfn);
  if (held == held_.end()) return false;
  const uint16_t owner = held->second;
  held_.erase(held);
  owners_.erase(mfn);
  if (contents_.erase(mfn) > 0) freed_contents_.insert(mfn);
  ++free_;
  if (HeldBy(owner) == 0) dying_.erase(owner);
  return true;
}

std::optional<HostModel::Refusal> HostModel::MapRefusal(const Guest& guest,
                                                        uint64_t pfn,
                                                        uint64_t mfn) const {
  const auto refusal = [](Code code, Reason reason) {
    return std::make_pair(code, reason);
  };
  if (pfn >= guest.model.size()) {
    return refusal(Code::kOutOfRange, Reason::kPfnOutOfRange);
  }
  if (!guest.model.Word(pfn).is_invalid()) {
    return refusal(Code::kFailedPrecondition, Reason::kPfnNotMissing);
  }
  if (mfn >= host_->max_mfn().value()) {
    return refusal(Code::kOutOfRange, Reason::kMfnOutOfRange);
  }
  const auto owner = owners_.find(mfn);
  if (owner == owners_.end() || held_.contains(mfn) ||
      owner->second == guest.domain->id().value()) {
    return refusal(Code::kFailedPrecondition, Reason::kFrameNotForeign);
  }
  return std::nullopt;
}

void HostModel::MapForeign() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  std::vector<ForeignSlot> slots;
  std::vector<SlotError> errors;
  const uint64_t structure = model.structure().size();
  // The model goes first, so that slots for which pages would run out can be
  // left out.
  for (uint64_t i = Pick(60); model.booted() && i > 0; --i) {
    uint64_t pfn = Pick(model.size() + 10);
    if (Chance(80) && !model.balloon().empty()) {
      pfn = model.balloon()[Pick(model.balloon().size())];
    }
    uint64_t mfn = Pick(host_->max_mfn().value() + 10);
    if (Chance(80)) {
      const auto owned = owners_.lower_bound(mfn);
      if (owned != owners_.end()) mfn = owned->first;
    }
    const auto refusal = MapRefusal(guest, pfn, mfn);
    if (!refusal.has_value()) {
      if (model.PagesToSet(pfn, pfn + 1, P2mClass::kForeign) >
          model.free().size()) {
        continue;
      }
      model.MapForeign(pfn, mfn);
      ++refs_[mfn];
    } else {
      errors.push_back({static_cast<uint32_t>(slots.size()),
                        MakeError(refusal->first, refusal->second, "")});
    }
    slots.push_back({Pfn(pfn), Mfn(mfn)});
  }
  ForeignReport report;
  const absl::Status status =
      guest.domain->p2m().MapForeign({"map foreign"}, slots, report);
  if (!model.booted()) {
    EXPECT_THAT(status,
                Fails(Code::kFailedPrecondition, Reason::kDomainNotBooted));
    return;
  }
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(report.done, slots.size() - errors.size());
  EXPECT_EQ(report.p2m_pages.value(), model.structure().size() - structure);
  ASSERT_EQ(report.errors.size(), errors.size());
  for (size_t i = 0; i < errors.size(); ++i) {
    EXPECT_EQ(report.errors[i].slot, errors[i].slot);
    for (const Reason reason :
         {Reason::kPfnOutOfRange, Reason::kPfnNotMissing,
          Reason::kMfnOutOfRange, Reason::kFrameNotForeign}) {
      if (ReasonOf(errors[i].status) != std::string(ReasonName(reason))) {
        continue;
      }
      EXPECT_THAT(report.errors[i].status,
                  Fails(errors[i].status.code(), reason));
    }
  }
}

void HostModel::UnmapForeign() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  std::vector<uint64_t> pfns;
  uint64_t freed = 0;
  std::vector<size_t> failed;
  for (uint64_t i = Pick(40); model.booted() && i > 0; --i) {
    uint64_t pfn = Pick(model.size());
    if (Chance(90) && !model.foreign().empty()) {
      const auto at = model.foreign().lower_bound(pfn);
      if (at != model.foreign().end()) pfn = at->first;
    }
    const auto mapped = model.foreign().find(pfn);
    if (mapped == model.foreign().end()) {
      failed.push_back(pfns.size());
    } else {
      freed += Unref(mapped->second) ? 1 : 0;
      model.UnmapForeign(pfn);
    }
    pfns.push_back(pfn);
  }
  ForeignReport report;
  const absl::Status status =
      host_->UnmapForeign({"unmap foreign"}, guest.domain->id(), pfns, report);
  if (!model.booted()) {
    EXPECT_THAT(status,
                Fails(Code::kFailedPrecondition, Reason::kDomainNotBooted));
    return;
  }
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(report.done, pfns.size() - failed.size());
  EXPECT_EQ(report.freed.value(), freed);
  ASSERT_EQ(report.errors.size(), failed.size());
  for (size_t i = 0; i < failed.size(); ++i) {
    EXPECT_EQ(report.errors[i].slot, failed[i]);
    EXPECT_THAT(report.errors[i].status,
                Fails(Code::kInvalidArgument, Reason::kPfnNotForeign));
  }
}

// What the model expects for a frame of this machine: the domain's own page,
// else the frame's number if that pfn reads as identity.
void HostModel::TranslateMfns() {
  const Guest& guest = PickGuest();
  const GuestModel& model = guest.model;
  std::map<uint64_t, uint64_t> pages;
  for (const auto& [pfn, mfn] : model.words()) {
    if (mfn != GuestModel::kMissing) pages[mfn] = pfn;
  }
  std::vector<uint64_t> mfns;
  for (int i = 0; i < 50; ++i) mfns.push_back(Pick(0x9000));
  for (int i = 0; i < 20; ++i) mfns.push_back(random_() >> 8);
  std::vector<MfnTranslation> answers;
  ASSERT_THAT(guest.domain->p2m().TranslateMfns(mfns, answers), IsOk());
  ASSERT_EQ(answers.size(), mfns.size());
  for (size_t i = 0; i < mfns.size(); ++i) {
    MfnTranslation expected;
    const auto page = pages.find(mfns[i]);
    if (page != pages.end()) {
      expected = {Pfn(page->second), Pfn(page->second)};
    } else if (model.Word(mfns[i]) == P2mWord::Identity(Pfn(mfns[i])) &&
               mfns[i] < model.abi().plain_word_limit()) {
      expected.pfn = Pfn(mfns[i]);
    } else if (mfns[i] >= model.abi().plain_word_limit()) {
      continue;  // runs into the flags
    }
    EXPECT_EQ(answers[i].pfn.value(), expected.pfn.value()) << mfns[i];
    EXPECT_EQ(answers[i].local.value(), expected.local.value()) << mfns[i];
  }
}

}  // namespace simvisor
