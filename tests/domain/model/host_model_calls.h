// HostModel: the calls, each with what it must answer.

#ifndef SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MODEL_CALLS_H_
#define SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MODEL_CALLS_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/domain/model/host_model.h"

namespace simvisor {

using Code = absl::StatusCode;

inline E820Map HostModel::Machine() {
  const auto page = [](uint64_t pfn) { return pfn * kPageSize; };
  return MakeMap({Ram(0, page(0x9f)), Ram(page(0x100), page(0x1800)),
                  Reserved(page(0x1800), page(0x2000)),
                  Ram(page(0x2000), page(0x6000)),
                  Reserved(page(0x6000), page(0x7000)),
                  Ram(page(0x100000), page(0x100800))});
}

inline HostModel::HostModel(uint64_t seed, Placement placement)
    : random_(seed) {
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

inline void HostModel::Step() {
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

inline HostModel::Guest& HostModel::PickGuest() {
  return std::next(guests_.begin(), Pick(guests_.size()))->second;
}

inline std::pair<uint64_t, uint64_t> HostModel::PickRange(
    const GuestModel& model) {
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

inline DomainSpec HostModel::PickSpec() {
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

inline void HostModel::Create() {
  const DomainSpec spec = PickSpec();
  const bool start_paused = Chance(30);
  const auto created = host_->CreateDomain(spec, start_paused, NeverStop);
  const uint64_t memory = spec.memory.value();
  const uint64_t most = spec.max_memory.value();
  GuestModel::Spec model;
  model.abi = &AbiOf(spec.arch);
  model.memory = memory;
  model.p2m = spec.p2m;
  model.pae_kernel = spec.pae_kernel;
  model.max_memory = most == 0 ? memory : most;
  if (memory == 0 || memory >> 32 != 0 || model.max_memory < memory) {
    EXPECT_THAT(created,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
    return;
  }
  const bool taken = std::any_of(
      guests_.begin(), guests_.end(),
      [&](const auto& guest) { return guest.second.name == spec.name; });
  if (taken) {
    EXPECT_THAT(created, Fails(Code::kAlreadyExists, Reason::kNameInUse));
    return;
  }
  model.map = spec.e820.entries().empty()
                  ? E820Map::SingleRam(PageCount(model.max_memory))
                  : spec.e820;
  if (spec.e820_host) {
    model.map =
        *GuestE820FromHost(Machine(), spec.memory, PageCount(model.max_memory));
  }
  if (model.map.EndPage().value() < memory) {
    EXPECT_THAT(created, Fails(Code::kInvalidArgument, Reason::kE820Malformed));
    return;
  }
  const uint64_t boot_pages = GuestModel::BootPages(model);
  if (boot_pages > GuestModel::UsablePages(model)) {
    EXPECT_THAT(created,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
    return;
  }
  if (memory > free_) {
    EXPECT_THAT(created,
                Fails(Code::kResourceExhausted, Reason::kHostMemoryExhausted));
    return;
  }
  ASSERT_THAT(created, IsOk());
  ++last_id_;  // a create that fails does not use up an id
  EXPECT_EQ((*created)->id().value(), last_id_);
  Adopt(*created, model, boot_pages, start_paused);
  guests_.at(last_id_).name = spec.name;
  guests_.at(last_id_).vcpus.resize(spec.vcpus);
}

inline void HostModel::Adopt(std::shared_ptr<Domain> domain,
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

inline void HostModel::RunGuest(Guest& guest) {
  if (guest.state == DomainState::kBuilt) Release(guest.model.Boot());
  guest.state = DomainState::kRunning;
  ReadTarget(guest);
  WorkTowardsTarget(guest);
}

inline void HostModel::ReadTarget(Guest& guest) {
  if (guest.unread) guest.model.ReadTarget();
  guest.unread = false;
}

// p2m.md B2: whether the driver wakes when its target is written now.  Whatever
// came of its last round, the credit with which it sleeps is that of the target
// that it has read: after a round that was done it is 0.
inline bool HostModel::Wakes(const Guest& guest) const {
  return !guest.model.booted() ||
         guest.model.target() != guest.model.driver_target();
}

inline void HostModel::WorkTowardsTarget(Guest& guest) {
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

inline void HostModel::Destroy() {
  if (guests_.size() < 9 && Chance(80)) return;
  if (!gone_.empty() && Chance(20)) {
    const DomainId id(gone_[Pick(gone_.size())]);
    if (dying_.contains(id.value())) {
      EXPECT_THAT(host_->DestroyDomain(id),
                  Fails(Code::kFailedPrecondition, Reason::kDomainDying));
    } else {
      EXPECT_THAT(host_->DestroyDomain(id),
                  Fails(Code::kNotFound, Reason::kDomainNotFound));
    }
    return;
  }
  Guest& guest = PickGuest();
  const uint16_t id = guest.domain->id().value();
  if (id == 0) {
    EXPECT_THAT(host_->DestroyDomain(DomainId(id)),
                Fails(Code::kFailedPrecondition, Reason::kDom0Protected));
    return;
  }
  DestroyGuest(id, Chance(50));
}

inline void HostModel::DestroyGuest(uint16_t id, bool by_name) {
  Guest& guest = guests_.at(id);
  const GuestModel& model = guest.model;
  const auto freed = by_name ? host_->DestroyDomain(guest.name)
                             : host_->DestroyDomain(DomainId(id));
  ASSERT_THAT(freed, IsOk());
  uint64_t others = 0;  // frames of dying owners that go with it
  for (const auto& [pfn, mfn] : model.foreign()) others += Unref(mfn) ? 1 : 0;
  // What pages of the kernel hold is not this model's business.
  std::set<uint64_t> pages = model.structure();
  pages.insert(model.spaces().pages().begin(), model.spaces().pages().end());
  for (const uint64_t pfn : pages) {
    const uint64_t mfn = model.words().at(pfn);
    if (contents_.erase(mfn) > 0) freed_contents_.insert(mfn);
  }
  std::vector<uint64_t> frames(model.unmapped().begin(),
                               model.unmapped().end());
  for (const auto& [pfn, mfn] : model.words()) {
    if (mfn != GuestModel::kMissing) frames.push_back(mfn);
  }
  const uint64_t held = Release(frames);
  EXPECT_EQ(freed->value(), model.current() - held + others);
  if (HeldBy(id) > 0) dying_.insert(id);
  EXPECT_THAT(guest.domain->Pause({"pause"}),
              Fails(Code::kFailedPrecondition, Reason::kDomainDying));
  EXPECT_THAT(host_->Find(guest.name),
              Fails(Code::kNotFound, Reason::kDomainNotFound));
  gone_.push_back(id);
  guests_.erase(id);
}

inline void HostModel::Rename() {
  Guest& guest = PickGuest();
  const uint16_t id = guest.domain->id().value();
  const std::string name = absl::StrCat("guest-", Pick(12));
  const auto renamed = host_->RenameDomain(DomainId(id), name);
  if (id == 0) {
    EXPECT_THAT(renamed,
                Fails(Code::kFailedPrecondition, Reason::kDom0Protected));
    return;
  }
  for (const auto& [other, entry] : guests_) {
    if (entry.name != name || other == id) continue;
    EXPECT_THAT(renamed, Fails(Code::kAlreadyExists, Reason::kNameInUse));
    return;
  }
  EXPECT_THAT(renamed, IsOk());
  guest.name = name;
}

inline void HostModel::PauseOrUnpause() {
  Guest& guest = PickGuest();
  if (Chance(35)) {
    const auto state = guest.domain->Pause({"pause"});
    ASSERT_THAT(state, IsOk());
    if (guest.state == DomainState::kRunning) {
      guest.state = DomainState::kPaused;
    }
    EXPECT_EQ(*state, guest.state);
    return;
  }
  const bool wakes = guest.overdue || (guest.unread && Wakes(guest));
  const auto state = guest.domain->Unpause({"unpause"});
  ASSERT_THAT(state, IsOk());
  if (guest.state == DomainState::kBuilt || wakes) {
    if (guest.state != DomainState::kRunning) RunGuest(guest);
  } else if (guest.state == DomainState::kPaused) {
    guest.state = DomainState::kRunning;
    ReadTarget(guest);
  }
  EXPECT_EQ(*state, DomainState::kRunning);
}

inline void HostModel::BalloonDown() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  const uint64_t pages = Pick(Chance(30) ? 5 : model.current() / 2 + 10);
  const bool partial = Chance(40);
  const auto moved =
      guest.domain->BalloonDown({"balloon down"}, PageCount(pages), partial);
  if (guest.state != DomainState::kRunning) {
    EXPECT_THAT(moved,
                Fails(Code::kFailedPrecondition, Reason::kDomainNotRunning));
  } else if (pages == 0) {
    EXPECT_THAT(moved, Fails(Code::kInvalidArgument, Reason::kRangeInvalid));
  } else if (IsDom0(guest) && !partial) {
    EXPECT_THAT(moved,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
  } else if (pages > model.free().size() && !partial) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kGuestMemoryExhausted));
  } else {
    ASSERT_THAT(moved, IsOk());
    const uint64_t count =
        IsDom0(guest) ? 0 : std::min<uint64_t>(pages, model.free().size());
    EXPECT_EQ(moved->value(), count);
    Release(model.Down(count));
    guest.overdue = false;
    model.set_target(model.current());
    model.ReadTarget();
  }
}

inline void HostModel::BalloonUp() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  const uint64_t pages = Pick(Chance(30) ? 5 : model.balloon().size() + 50);
  const bool partial = Chance(40);
  const auto moved =
      guest.domain->BalloonUp({"balloon up"}, PageCount(pages), partial);
  const uint64_t in_balloon = model.balloon().size();
  const uint64_t room = model.RoomBelowMax(HeldBy(guest.domain->id().value()));
  if (guest.state != DomainState::kRunning) {
    EXPECT_THAT(moved,
                Fails(Code::kFailedPrecondition, Reason::kDomainNotRunning));
  } else if (pages == 0) {
    EXPECT_THAT(moved, Fails(Code::kInvalidArgument, Reason::kRangeInvalid));
  } else if (!partial && pages > room) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kMaxMemExceeded));
  } else if (!partial && pages > in_balloon) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kPfnNotBalloonable));
  } else if (!partial && model.LeafPagesUp(pages) > model.free().size()) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kGuestMemoryExhausted));
  } else if (!partial && pages > free_) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kHostMemoryExhausted));
  } else {
    ASSERT_THAT(moved, IsOk());
    const uint64_t count = std::min({pages, in_balloon, room, free_});
    EXPECT_EQ(moved->value(), model.Up(count));
    guest.overdue = false;
    model.set_target(model.current());
    model.ReadTarget();
    LearnFrames(guest);
  }
}

inline void HostModel::SetTarget() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  uint64_t target = Pick(model.static_max());
  if (Chance(50)) target = model.current() - model.current() / 8 + Pick(800);
  if (Chance(10)) target = model.static_max() + 1 + Pick(20);
  const uint64_t target_before = model.target();
  model.set_target(target);
  const bool wakes = Wakes(guest);
  model.set_target(target_before);
  const absl::Status status =
      guest.domain->SetTarget({"set memory target"}, PageCount(target));
  // This dom0 has less than every dom0 must be left with.
  if (target == 0 || IsDom0(guest)) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
    return;
  }
  if (target > model.static_max()) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kStaticMaxExceeded));
    return;
  }
  EXPECT_THAT(status, IsOk());
  model.set_max(target + kPagesPerMiB);
  model.set_target(target);
  guest.unread = true;
  if (guest.state != DomainState::kRunning) return;
  ReadTarget(guest);
  if (wakes) WorkTowardsTarget(guest);
}

inline void HostModel::SetMaxMemory() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  uint64_t most = model.target() - 10 + Pick(3000);
  if (Chance(20)) most = model.target() - 1 - Pick(100);
  if (Chance(5)) most = uint64_t{1} << 32;
  const absl::Status status =
      guest.domain->SetMaxMemory({"set maximum memory"}, PageCount(most));
  if (most >> 32 != 0) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
  } else if (most < model.target()) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kMaxMemBelowTarget));
  } else {
    EXPECT_THAT(status, IsOk());
    model.set_max(most + kPagesPerMiB);
    model.set_static_max(most);
  }
}

inline void HostModel::WakeBalloon() {
  Guest& guest = PickGuest();
  const BalloonTimer timer = guest.domain->balloon_timer();
  EXPECT_THAT(guest.domain->WakeBalloon({"balloon timer"}, timer), IsOk());
  const uint64_t woken = guest.domain->balloon_timer().wakeups - timer.wakeups;
  if (!timer.seconds.has_value()) {
    EXPECT_EQ(woken, 0u);
    // Nothing will come of waiting.
    if (guest.state != DomainState::kRunning) return;
    EXPECT_EQ(guest.model.driver_target(), guest.model.current());
  } else if (guest.state == DomainState::kRunning) {
    EXPECT_EQ(woken, 1u);
    WorkTowardsTarget(guest);
  } else {
    EXPECT_EQ(guest.state, DomainState::kPaused);
    EXPECT_EQ(woken, 0u);
    guest.overdue = true;
  }
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MODEL_CALLS_H_
