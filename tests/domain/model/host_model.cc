// HostModel: the host, and helpers that its calls share.

#include "tests/domain/model/host_model.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace simvisor {

E820Map HostModel::Machine() {
  const auto page = [](uint64_t pfn) { return pfn * kPageSize; };
  return MakeMap({Ram(0, page(0x9f)), Ram(page(0x100), page(0x1800)),
                  Reserved(page(0x1800), page(0x2000)),
                  Ram(page(0x2000), page(0x6000)),
                  Reserved(page(0x6000), page(0x7000)),
                  Ram(page(0x100000), page(0x100800))});
}

HostModel::HostModel(uint64_t seed, Placement placement) : random_(seed) {
  HostConfig config;
  config.e820 = Machine();
  config.placement = placement;
  config.seed = seed;
  config.cpus = kCpus;
  config.dom0_memory = PageCount(9001);
  config.dom0_max_memory = PageCount(10000);
  auto host = Host::Create(config);
  EXPECT_THAT(host, IsOk());
  host_ = *std::move(host);
  free_ = 0x1700 + 0x4000 + 0x800;
  const GuestModel::Spec spec = {.abi = &kAbiX86_64,
                                 .map = config.e820,
                                 .memory = 9001,
                                 .max_memory = 10000,
                                 .initial = true,
                                 .ceiling = 10000};
  Adopt(*host_->Find(kDom0Id), spec, GuestModel::BootPages(spec), false);
  guests_.at(0).name = "Domain-0";
  guests_.at(0).vcpus.resize(1);
}

void HostModel::Step() {
  using Call = void (HostModel::*)();
  static constexpr Call kCalls[] = {
      &HostModel::Create,         &HostModel::Destroy,
      &HostModel::Rename,         &HostModel::PauseOrUnpause,
      &HostModel::PauseOrUnpause, &HostModel::BalloonDown,
      &HostModel::BalloonDown,    &HostModel::BalloonUp,
      &HostModel::BalloonUp,      &HostModel::SetTarget,
      &HostModel::SetMaxMemory,   &HostModel::WakeBalloon,
      &HostModel::WakeBalloon,    &HostModel::MarkIdentity,
      &HostModel::MarkIdentity,   &HostModel::SetRange,
      &HostModel::SetRange,       &HostModel::SetRange,
      &HostModel::SetRange,       &HostModel::ReadOrWrite,
      &HostModel::ReadOrWrite,    &HostModel::Translate,
      &HostModel::SetAffinity,    &HostModel::CreateSpaces,
      &HostModel::DestroySpaces,  &HostModel::TranslateInSpace,
      &HostModel::TranslateMfns,  &HostModel::MapForeign,
      &HostModel::MapForeign,     &HostModel::UnmapForeign,
  };
  (this->*kCalls[Pick(std::size(kCalls))])();
}

HostModel::Guest& HostModel::PickGuest() {
  return std::next(guests_.begin(), Pick(guests_.size()))->second;
}

std::pair<uint64_t, uint64_t> HostModel::PickRange(const GuestModel& model) {
  uint64_t first = Pick(model.size() + 2);
  if (Chance(50)) first = Pick(model.memory() + 2000);
  if (Chance(20) && !model.balloon().empty()) {
    first = model.balloon()[Pick(model.balloon().size())];
  }
  if (Chance(30) && !model.free().empty()) {
    first = *model.free().lower_bound(Pick(*model.free().rbegin() + 1));
  }
  if (Chance(20)) first -= first % model.abi().leaf_span();
  uint64_t count = Pick(Chance(60) ? 40 : 2500);
  if (Chance(10)) count = model.abi().leaf_span() * (1 + Pick(3));
  if (Chance(2)) return {first, ~uint64_t{0}};
  if (Chance(2)) return {~uint64_t{0} - 3, count - 4};
  if (Chance(2)) return {first + count, first};
  return {first, first + count};
}

DomainSpec HostModel::PickSpec() {
  DomainSpec spec;
  spec.name = absl::StrCat("guest-", Pick(12));
  spec.arch = Chance(30) ? Arch::kX86_32Pae : Arch::kX86_64;
  spec.memory = PageCount(300 + Pick(Chance(30) ? 9000 : 2500));
  if (Chance(50)) spec.max_memory = spec.memory + PageCount(Pick(4000));
  if (Chance(4)) spec.max_memory = PageCount(1 + Pick(spec.memory.value()));
  if (Chance(2)) spec.memory = PageCount(uint64_t{1} << 52);
  if (Chance(2)) spec.memory = PageCount(Pick(300));
  if (Chance(5)) spec.memory = PageCount(free_ + 1 + Pick(500));
  spec.vcpus = static_cast<uint32_t>(1 + Pick(5));
  if (Chance(50)) spec.balloon_max_retry = Pick(3);
  spec.pae_kernel.shared_kernel_pmd = Chance(40);
  spec.pae_kernel.user_pgds = static_cast<int>(1 + Pick(3));
  spec.e820_host = Chance(30);
  if (Chance(30)) spec.p2m.tools_view = ToolsView::kLinear;
  if (Chance(30)) spec.p2m.balloon_room = BalloonRoom::kCompact;
  if (!spec.e820_host && Chance(20)) {
    const uint64_t low = (1 + Pick(2000)) * kPageSize;
    const uint64_t hole = low + (1 + Pick(900)) * kPageSize;
    spec.e820 = MakeMap({Ram(0, low), Reserved(low, hole),
                         Ram(hole, hole + (1 + Pick(6000)) * kPageSize)});
  }
  return spec;
}

void HostModel::Adopt(std::shared_ptr<Domain> domain,
                      const GuestModel::Spec& spec, uint64_t boot_pages,
                      bool start_paused) {
  const uint16_t id = domain->id().value();
  Guest guest = {std::move(domain), "",         DomainState::kBuilt,
                 GuestModel(spec),  boot_pages, {}};
  auto at = guests_.emplace(id, std::move(guest)).first;
  if (!start_paused) {
    // Frames that the guest gave back meanwhile were never learnt.
    at->second.model.Boot();
    at->second.state = DomainState::kRunning;
    at->second.unread = false;
  }
  LearnFrames(at->second);
}

void HostModel::RunGuest(Guest& guest) {
  if (guest.state == DomainState::kBuilt) Release(guest.model.Boot());
  guest.state = DomainState::kRunning;
  ReadTarget(guest);
  WorkTowardsTarget(guest);
}

void HostModel::ReadTarget(Guest& guest) {
  if (guest.unread) guest.model.ReadTarget();
  guest.unread = false;
}

// p2m.md B2: whether the driver wakes when its target is written now.  Whatever
// its last round did, the credit with which it sleeps is that of the target
// that it has read: after a completed round it is 0.
bool HostModel::Wakes(const Guest& guest) const {
  return !guest.model.booted() ||
         guest.model.limits().target != guest.model.driver_target();
}

void HostModel::WorkTowardsTarget(Guest& guest) {
  GuestModel& model = guest.model;
  guest.overdue = false;
  const uint64_t target = model.driver_target();
  if (target < model.current()) {
    Release(model.Down(
        std::min<uint64_t>(model.current() - target, model.free().size())));
  } else {
    model.Up(std::min(
        {target - model.current(), uint64_t{model.balloon().size()},
         model.RoomBelowMax(HeldBy(guest.domain->id().value())), free_}));
    LearnFrames(guest);
    if (target > model.current() && model.balloon().empty()) {
      model.GiveUpTarget();
    }
  }
}

}  // namespace simvisor
