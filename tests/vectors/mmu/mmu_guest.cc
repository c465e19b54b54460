#include "tests/vectors/mmu/mmu_guest.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "domain/smmu/mmu_types.h"
#include "tests/domain/vm/domain_copy.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

constexpr uint64_t kGuestPages = 2000;
constexpr uint64_t kOwnerPages = 1000;
constexpr uint64_t kMachinePages = 10000;

std::unique_ptr<Host> MakeMachine(ChangeWaiter& waiter,
                                  AllocationFaults& faults) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(kMachinePages));
  config.placement = Placement::kLowest;
  config.dom0_memory = PageCount(kDom0Pages);
  config.waiter = &waiter;
  config.faults = &faults;
  auto host = Host::Create(config);
  EXPECT_THAT(host, IsOk());
  return *std::move(host);
}

}  // namespace

MmuGuest::MmuGuest(const Layout& layout, ChangeWaiter& waiter,
                   AllocationFaults& faults)
    : layout_(layout),
      waiter_(waiter),
      faults_(faults),
      host_(MakeMachine(waiter, faults)),
      domain_(MustCreate(*host_, MakeSpec("case", kGuestPages))),
      owner_(MustCreate(*host_, MakeSpec("owner", kOwnerPages))),
      mfn_base_(layout.mfn_base) {
  ChooseWindow();
  const auto make_missing = [this](PfnExtent pfns, RamPolicy policy) {
    EXPECT_THAT(domain_->p2m().SetRange({"lay out"}, pfns, P2mClass::kMissing,
                                        Mfn(), policy),
                IsOk());
  };
  if (layout.spare > 0) {
    make_missing({PfnOf(layout.pages), PageCount(layout.spare)},
                 RamPolicy::kKeep);
  }
  for (const uint64_t pfn : layout.missing) {
    make_missing({PfnOf(pfn), PageCount(1)}, RamPolicy::kRelease);
  }
  for (const auto& [pfn, mfn] : layout.foreign) {
    make_missing({PfnOf(pfn), PageCount(1)}, RamPolicy::kRelease);
  }
  MapForeign();
  base_free_ = host_->Info().free.value();
  structure_ = domain_->Info().memory.current.value() - Ram() - layout.spare;
}

// The highest free pages, in adjacent frames; other free pages above them leave
// the guest.
void MmuGuest::ChooseWindow() {
  const PageCount needed(layout_.pages + layout_.spare);
  const PfnSet free = domain_->Peek(
      [](const Parts& on) { return on.guest()->free_pages().set(); });
  std::vector<PfnExtent> above;
  bool found = false;
  for (auto at = free.extents().rbegin(); at != free.extents().rend() && !found;
       ++at) {
    const PfnExtent extent = ExtentBetween(at->first, at->second);
    found = extent.count >= needed;
    if (found) window_ = extent.end() - needed;
    if (!found) above.push_back(extent);
  }
  ASSERT_TRUE(found);
  for (const PfnExtent pfns : above) {
    ASSERT_THAT(domain_->p2m().SetRange({"lay out"}, pfns, P2mClass::kMissing,
                                        Mfn(), RamPolicy::kRelease),
                IsOk());
  }
  first_ = Mfn(WordOf(*domain_, window_.value()).Number());
  for (PageCount i; i < needed; i += PageCount(1)) {
    ASSERT_EQ(WordOf(*domain_, (window_ + i).value()).Number(),
              (first_ + i).value());
  }
}

void MmuGuest::MapForeign() {
  uint64_t from = kOwnerPages - 1;
  for (const auto& [pfn, mfn] : layout_.foreign) {
    const Mfn frame(WordOf(*owner_, from--).Number());
    foreign_[mfn] = frame;
    from_foreign_[frame] = mfn;
    ForeignReport report;
    ASSERT_THAT(domain_->p2m().MapForeign(
                    {"lay out"}, {ForeignSlot{PfnOf(pfn), frame}}, report),
                IsOk());
    ASSERT_EQ(report.done, 1u);
  }
}

void MmuGuest::Arrive(uint64_t mfn_base) {
  std::unique_ptr<Host> to = MakeMachine(waiter_, faults_);
  auto incoming =
      SendPages(*domain_, *to, MakeSpec("case", kGuestPages), record_);
  ASSERT_NE(incoming, nullptr);
  auto awake = incoming->Awaken(
      {.bytes = record_.notes, .record_pages = RecordPages(record_)});
  ASSERT_THAT(awake, IsOk());
  domain_ = *std::move(awake);
  incoming.reset();
  ASSERT_THAT(domain_->Unpause({"unpause"}), IsOk());
  owner_.reset();
  host_ = std::move(to);
  mfn_base_ = mfn_base;
  first_ = Mfn(WordOf(*domain_, window_.value()).Number());
  base_free_ = host_->Info().free.value();
  destroyed_ = false;
}

PfnExtent MmuGuest::PfnsOf(uint64_t lo, uint64_t hi) const {
  if (hi >= kEveryPfn.end().value()) {
    return lo == 0 ? kEveryPfn : ExtentBetween(PfnOf(lo), kEveryPfn.end());
  }
  return ExtentBetween(PfnOf(lo), PfnOf(hi));
}

Mfn MmuGuest::MfnOf(uint64_t mfn) const {
  const auto found = foreign_.find(mfn);
  return found != foreign_.end() ? found->second
                                 : Mfn(mfn - mfn_base_ + first_.value());
}

uint64_t MmuGuest::FromMfn(Mfn mfn) const {
  const auto found = from_foreign_.find(mfn);
  return found != from_foreign_.end()
             ? found->second
             : mfn.value() - first_.value() + mfn_base_;
}

std::string MmuGuest::TextOf(P2mWord word) const {
  switch (word.Class()) {
    case P2mClass::kRam:
      return absl::StrCat("ram:", FromMfn(Mfn(word.Number())));
    case P2mClass::kForeign:
      return absl::StrCat("foreign:", FromMfn(Mfn(word.Number())));
    case P2mClass::kMissing:
      return "missing";
    default:
      return "identity";
  }
}

uint64_t MmuGuest::SpareFrames() const {
  const MfnExtent spares = {first_ + PageCount(layout_.pages),
                            PageCount(layout_.spare)};
  return domain_->Peek([&](const Parts& on) {
    return on.memory.unplaced().CountIn(spares).value();
  });
}

uint64_t MmuGuest::Free() const {
  const uint64_t free = host_->Info().free.value() - base_free_;
  return destroyed_ ? free - structure_ : free + SpareFrames();
}

uint64_t MmuGuest::FreePages() const {
  return domain_->Peek([&](const Parts& on) {
    return on.guest()->free_pages().set().CountIn(Window()).value();
  });
}

}  // namespace simvisor
