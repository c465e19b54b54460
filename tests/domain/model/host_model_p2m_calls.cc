// HostModel: the calls that change or read words and contents.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/domain/model/host_model.h"

namespace simvisor {

void HostModel::MarkIdentity() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  const auto [first, asked_end] = PickRange(model);
  const bool release = Chance(50);
  const uint64_t before = model.structure().size();
  const auto change = guest.domain->p2m().MarkIdentity(
      {"mark identity"}, Pfn(first), Pfn(asked_end), release);
  if (first > asked_end) {
    EXPECT_THAT(change, Fails(Code::kInvalidArgument, Reason::kRangeInvalid));
    return;
  }
  const bool cut = !model.booted() || Pfn(asked_end).is_none();
  if (model.booted() &&
      (first > model.size() || (!cut && asked_end > model.size()))) {
    EXPECT_THAT(change, Fails(Code::kOutOfRange, Reason::kPfnOutOfRange));
    return;
  }
  const uint64_t end = std::min(asked_end, model.size());
  const uint64_t count = end > first ? end - first : 0;
  const uint64_t ram = count == 0 ? 0 : model.CountRam(first, end);
  if (count > 0 && model.HoldsKernel(first, end)) {
    EXPECT_THAT(change,
                Fails(Code::kFailedPrecondition, Reason::kPageInUseByKernel));
    return;
  }
  if (count > 0 && model.HoldsForeign(first, end)) {
    EXPECT_THAT(change,
                Fails(Code::kFailedPrecondition, Reason::kPfnHoldsForeign));
    return;
  }
  if (ram > 0 && !release) {
    EXPECT_THAT(change, Fails(Code::kFailedPrecondition, Reason::kPfnHoldsRam));
    return;
  }
  uint64_t held = 0;
  if (count > 0) {
    // A PAE guest keeps a page for its last leaf, in case marks make it shared.
    const bool straddles = model.abi().arch == Arch::kX86_32Pae &&
                           model.memory() % model.abi().leaf_span() != 0;
    const uint64_t needed =
        model.booted() ? model.PagesToSet(first, end, P2mClass::kIdentity)
                       : guest.boot_pages - before + (straddles ? 1 : 0);
    if (needed > model.FreeOutside(first, end)) {
      EXPECT_THAT(change, Fails(Code::kResourceExhausted,
                                Reason::kGuestMemoryExhausted));
      return;
    }
    held = Release(model.Overwrite(first, end, P2mClass::kIdentity, 0, true));
  }
  ASSERT_THAT(change, IsOk());
  EXPECT_EQ(change->marked.value(), count);
  EXPECT_EQ(change->released.value(), ram - held);
  EXPECT_EQ(change->p2m_pages.value(), model.structure().size() - before);
}

uint64_t HostModel::PickFrames(const GuestModel& model, uint64_t* count) {
  if (Chance(10)) return host_->max_mfn().value() - Pick(3);
  if (Chance(10) && !model.free().empty()) {
    return model.words().at(*model.free().begin());
  }
  if (model.unmapped().empty() || Chance(15)) {
    return Pick(host_->max_mfn().value() + 10);
  }
  const auto& kept = model.unmapped();
  const uint64_t first = *kept.lower_bound(Pick(*kept.rbegin() + 1));
  uint64_t run = 1;
  while (kept.contains(first + run)) ++run;
  *count = std::min(*count, run + (Chance(10) ? 1 : 0));
  return first;
}

std::optional<HostModel::Refusal> HostModel::SetRangeRefusal(
    const Guest& guest, const RangeCall& call) const {
  const GuestModel& model = guest.model;
  const uint64_t end = call.first + call.count;
  if (!model.booted()) {
    return Refusal(Code::kFailedPrecondition, Reason::kDomainNotBooted);
  }
  if (call.count == 0) {
    return Refusal(Code::kInvalidArgument, Reason::kRangeInvalid);
  }
  if (call.first > model.size() || call.count > model.size() - call.first) {
    return Refusal(Code::kOutOfRange, Reason::kPfnOutOfRange);
  }
  if (model.HoldsKernel(call.first, end)) {
    return Refusal(Code::kFailedPrecondition, Reason::kPageInUseByKernel);
  }
  if (model.HoldsForeign(call.first, end)) {
    return Refusal(Code::kFailedPrecondition, Reason::kPfnHoldsForeign);
  }
  if (call.policy == RamPolicy::kRefuse &&
      model.CountRam(call.first, end) > 0) {
    return Refusal(Code::kFailedPrecondition, Reason::kPfnHoldsRam);
  }
  if (call.wanted == P2mClass::kRam) {
    const auto frames = FramesRefusal(guest, call.first_mfn, call.count);
    if (frames.has_value()) return frames;
  }
  if (model.PagesToSet(call.first, end, call.wanted) >
      model.FreeOutside(call.first, end)) {
    return Refusal(Code::kResourceExhausted, Reason::kGuestMemoryExhausted);
  }
  return std::nullopt;
}

std::optional<HostModel::Refusal> HostModel::FramesRefusal(
    const Guest& guest, uint64_t first, uint64_t count) const {
  if (first + count > host_->max_mfn().value()) {
    return Refusal(Code::kOutOfRange, Reason::kMfnOutOfRange);
  }
  for (uint64_t mfn = first; mfn < first + count; ++mfn) {
    if (guest.model.unmapped().contains(mfn)) continue;
    auto owner = owners_.find(mfn);
    const bool own = owner != owners_.end() && !held_.contains(mfn) &&
                     owner->second == guest.domain->id().value();
    return Refusal(Code::kFailedPrecondition,
                   own ? Reason::kFrameInUse : Reason::kFrameNotOwned);
  }
  return std::nullopt;
}

void HostModel::SetRange() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  const auto [first, end] = PickRange(model);
  static constexpr P2mClass kClasses[] = {P2mClass::kMissing,
                                          P2mClass::kIdentity, P2mClass::kRam};
  static constexpr RamPolicy kPolicies[] = {
      RamPolicy::kRefuse, RamPolicy::kRelease, RamPolicy::kKeep};
  RangeCall call = {.first = first,
                    .count = end - first,  // wraps to huge ones for bad ranges
                    .wanted = kClasses[Pick(3)]};
  if (call.wanted == P2mClass::kRam) {
    call.first_mfn = PickFrames(model, &call.count);
  }
  call.policy = kPolicies[Pick(3)];
  const uint64_t before = model.structure().size();
  const auto change = guest.domain->p2m().SetRange(
      {"set p2m"}, {Pfn(call.first), PageCount(call.count)}, call.wanted,
      Mfn(call.first_mfn), call.policy);
  if (const auto refusal = SetRangeRefusal(guest, call); refusal.has_value()) {
    EXPECT_THAT(change, Fails(refusal->first, refusal->second));
    return;
  }
  const uint64_t last = call.first + call.count;
  const uint64_t ram = model.CountRam(call.first, last);
  const bool release = call.policy == RamPolicy::kRelease;
  const uint64_t held = Release(
      model.Overwrite(call.first, last, call.wanted, call.first_mfn, release));
  ASSERT_THAT(change, IsOk());
  EXPECT_EQ(change->marked.value(), call.count);
  EXPECT_EQ(change->released.value(), release ? ram - held : 0);
  EXPECT_EQ(change->p2m_pages.value(), model.structure().size() - before);
}

std::string HostModel::ExpectedBytes(const GuestModel& model, uint64_t pfn,
                                     uint64_t offset, uint64_t size) const {
  std::string bytes;
  for (uint64_t i = offset; i < offset + size; ++i) {
    auto page = contents_.find(model.words().at(pfn + i / kPageSize));
    bytes += page == contents_.end() ? '\0' : page->second[i % kPageSize];
  }
  return bytes;
}

void HostModel::ReadOrWrite() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  uint64_t pfn = PickRange(model).first;
  // The highest free pages are the first to be freed and to come back.
  if (Chance(50) && !model.free().empty()) {
    pfn = *model.free().rbegin() - Pick(std::min<uint64_t>(50, model.memory()));
  }
  const uint64_t offset = Pick(Chance(95) ? kPageSize : 2 * kPageSize);
  const uint64_t size = Pick(3 * kPageSize);
  const bool writing = Chance(60);
  std::string data(size, '\0');
  for (char& c : data) c = static_cast<char>(random_());
  const absl::Status status =
      writing
          ? guest.domain->contents().Write({"write"}, Pfn(pfn), offset, data)
          : guest.domain->contents().Read(Pfn(pfn), offset,
                                          absl::MakeSpan(data));
  if (offset >= kPageSize || size == 0) {
    EXPECT_THAT(status, Fails(Code::kInvalidArgument, Reason::kRangeInvalid));
    return;
  }
  const uint64_t pages = (offset + size - 1) / kPageSize + 1;
  const bool fits = pfn <= model.size() && pages <= model.size() - pfn;
  bool structure = false;
  for (uint64_t i = 0; i < pages; ++i) {
    if (!fits || !model.HoldsRam(pfn + i)) {
      // An earlier kernel page is found first.
      if (fits && writing && structure) break;
      EXPECT_THAT(status, Fails(Code::kFailedPrecondition, Reason::kPfnNotRam));
      return;
    }
    structure = structure || model.HoldsKernel(pfn + i, pfn + i + 1);
  }
  if (writing && structure) {
    EXPECT_THAT(status,
                Fails(Code::kFailedPrecondition, Reason::kPageInUseByKernel));
    return;
  }
  ASSERT_THAT(status, IsOk());
  if (!writing) {
    if (!structure) {
      EXPECT_TRUE(data == ExpectedBytes(model, pfn, offset, size));
    }
    return;
  }
  for (uint64_t i = offset; i < offset + size; ++i) {
    std::string& page = contents_[model.words().at(pfn + i / kPageSize)];
    page.resize(kPageSize, '\0');
    page[i % kPageSize] = data[i - offset];
  }
}

void HostModel::Translate() {
  const Guest& guest = PickGuest();
  std::vector<uint64_t> pfns;
  for (int i = 0; i < 100; ++i) {
    pfns.push_back(Pick(guest.model.size() + 10000));
    pfns.push_back(Pick(guest.model.memory() + 2000));
    if (i % 10 == 0) pfns.push_back(random_() >> 8);
  }
  std::vector<P2mWord> words;
  ASSERT_THAT(guest.domain->p2m().Translate(pfns, words), IsOk());
  ASSERT_EQ(words.size(), pfns.size());
  for (size_t i = 0; i < pfns.size(); ++i) {
    EXPECT_EQ(words[i].ToString(), guest.model.Word(pfns[i]).ToString())
        << "pfn " << pfns[i];
  }
}

}  // namespace simvisor
