#include "domain/vm/domain.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "domain/guest/range_frames.h"
#include "domain/vm/balloon_rounds.h"
#include "domain/vm/balloon_shortfall.h"

namespace simvisor {
namespace {

// Whether the next round of the driver, on the way to `goal`, moves nothing
// because the guest has no page for a leaf of its p2m list.
bool LacksLeafPages(const Guest& guest, PageCount current, PageCount goal) {
  if (guest.config().p2m.balloon_room == BalloonRoom::kFaithful) return false;
  const Balloon& balloon = guest.balloon();
  if (goal <= current || balloon.list().size() == PageCount(0)) return false;
  // A larger round begins where a batch does.
  const PageCount pages = std::min(goal - current, balloon.driver().batch());
  const Pfn first = balloon.list().Next(pages).front().first;
  return guest.list().PagesToSet({first, PageCount(1)},
                                 RangeFill::Ram(Mfn(0))) >
         guest.free_pages().count();
}

// Unset unless a driver runs.
std::optional<BalloonDriverInfo> DriverOf(const Parts& parts) {
  if (parts.guest() == nullptr || parts.life.dying()) return std::nullopt;
  const PageCount current = parts.reservation.current();
  const Balloon& balloon = parts.guest()->balloon();
  const BalloonDriver& driver = balloon.driver();
  const PageCount goal =
      balloon.target_unread() ? parts.reservation.target() : driver.target();
  return BalloonDriverInfo{
      .current = current,
      .target = driver.target(),
      .low = balloon.list().low_count(),
      .high = balloon.list().high_count(),
      .batch = driver.batch(),
      .state = driver.policy().state(),
      .schedule_delay = driver.policy().delay_seconds(),
      .max_schedule_delay = BalloonPolicy::kMaxDelay,
      .retry_count = driver.policy().retry_count(),
      .max_retry_count = driver.policy().max_retry(),
      .retry_after = driver.SecondsToWake(current),
      .goal = goal,
      .lacks_leaf_pages = LacksLeafPages(*parts.guest(), current, goal),
      .extra_regions = {}};
}

}  // namespace

GuestConfig ConfigOf(const DomainSpec& spec) {
  return {.e820 = spec.e820,
          .e820_host = spec.e820_host,
          .p2m = spec.p2m,
          .hotplug_limit_gib = spec.hotplug_limit_gib,
          .balloon_max_retry = spec.balloon_max_retry,
          .pae_kernel = spec.pae_kernel};
}

Domain::Domain(Params params, std::unique_ptr<P2mWords> words, FramePool& pool)
    : identity_(params.id, params.spec.name),
      abi_(&AbiOf(params.spec.arch)),
      uuid_(params.spec.uuid),
      pci_devices_(std::move(params.spec.pci_devices)),
      pool_(pool),
      faults_(params.faults),
      machine_mmus_(*params.mmus),
      vcpus_(identity_, params.spec.vcpus, std::move(params.affinities), end_),
      kernel_(
          std::make_shared<const Kernel>(Kernel{ConfigOf(params.spec), {}})),
      parts_(end_,
             Reservation(params.max_pages, params.spec.max_memory,
                         params.spec.memory),
             std::move(words), pool.store()) {
  absl::MutexLock lock(&mu_);
  Show(parts_);
}

Domain::~Domain() { delete mmu_state(); }

absl::Status Domain::Check(const Life& life, const Context& context,
                           Needs needs) const {
  return life.Check(context, needs,
                    life.dying() ? pool_.HeldBy(id()) : PageCount(0));
}

absl::StatusOr<DomainState> Domain::Pause(const Operation& operation) {
  return Change(operation, Needs::kNotSuspended,
                [](ChangeScope& change) -> absl::StatusOr<DomainState> {
                  Life& life = change.parts().life;
                  life.Pause();
                  return life.state();
                });
}

absl::StatusOr<DomainState> Domain::Unpause(const Operation& operation) {
  return Change(operation, Needs::kNotSuspendedOwnKernel,
                [this](ChangeScope& change) -> absl::StatusOr<DomainState> {
                  Parts& on = change.parts();
                  if (on.life.runs()) return on.life.state();
                  SIMVISOR_RETURN_IF_ERROR(change.Preempted());
                  if (on.guest() == nullptr) {
                    SIMVISOR_RETURN_IF_ERROR(Boot(change));
                    // Another call may have booted and started it meanwhile.
                    if (on.life.runs()) return on.life.state();
                  }
                  if (!on.guest()->list().fresh()) {
                    // A restored guest has not published its list here; that
                    // takes no page.
                    SIMVISOR_RETURN_IF_ERROR(
                        on.guest()->list().Publish(on.guest()->free_pages()));
                  }
                  on.life.Run();
                  change.Show();
                  // The guest runs, however far its driver got before it was
                  // stopped.
                  change.waits().Demand(Needs::kRunning);
                  ReadTarget(change).IgnoreError();
                  return on.life.state();
                });
}

absl::Status Domain::Boot(ChangeScope& change) {
  Parts& on = change.parts();
  SIMVISOR_RETURN_IF_ERROR(on.CheckBuilt(change.context()));
  ChangeWaits& waits = change.waits();
  SIMVISOR_RETURN_IF_ERROR(waits.ClaimAll());
  if (on.guest() != nullptr) return absl::OkStatus();
  SIMVISOR_RETURN_IF_ERROR(waits.TellAll(InvalidateReason::kBoot));
  const PageCount before = on.reservation.current();
  absl::StatusOr<std::unique_ptr<Guest>> guest =
      Guest::Boot(change.context(), *on.built(), on.memory, change);
  if (!guest.ok()) {
    waits.AbortTold();
    return guest.status();
  }
  on.reservation.TargetDropsBy((*guest)->at_boot().released, before);
  InstallGuest(on, *std::move(guest));
  waits.EndTold();
  return absl::OkStatus();
}

void Domain::InstallGuest(Parts& parts, std::unique_ptr<Guest> guest) {
  auto kernel = std::make_shared<const Kernel>(
      Kernel{guest->config(), guest->at_boot().extra_regions});
  {
    absl::MutexLock lock(&info_mu_);
    kernel_.swap(kernel);
  }
  parts.SetGuest(std::move(guest));
  parts.memory.words().MarkPublished();
  published_.store(&parts.memory.words(), std::memory_order_release);
}

absl::Status Domain::BeginDestroy(const Operation& operation) {
  absl::MutexLock lock(&mu_);
  return parts_.life.BeginDestroy({identity_, operation.name});
}

absl::StatusOr<PageCount> Domain::Destroy(const Operation& operation,
                                          std::vector<DomainId>* drained) {
  return Change(operation, Needs::kAlive,
                [&](ChangeScope& change) -> absl::StatusOr<PageCount> {
                  const PageCount freed = Relinquish(change);
                  drained->insert(drained->end(), change.drained().begin(),
                                  change.drained().end());
                  return freed;
                });
}

PageCount Domain::Relinquish(ChangeScope& change) {
  Parts& on = change.parts();
  on.life.BeginDying();
  vcpus_.Clear();
  change.Show();
  const std::string target = on.life.moved_to();
  change.waits().Release(
      target.empty() ? ReleaseReason::kDestroyed : ReleaseReason::kMigrated,
      target);
  PageCount freed;
  if (on.guest() != nullptr) freed += on.guest()->DropForeign(change);
  const P2mWords& words = on.memory.words();
  std::vector<MfnExtent> frames;
  for (PfnExtent rest = {Pfn(0), words.size() - Pfn(0)}; !rest.empty();) {
    frames.clear();
    rest = ExtentBetween(words.CollectFrames(rest, kRunsPerHypercall, frames),
                         rest.end());
    freed += change.DecreaseReservation(frames);
  }
  frames.clear();
  for (const auto& [first, last] : on.memory.unplaced().extents()) {
    frames.push_back(ExtentBetween(first, last));
  }
  freed += change.DecreaseReservation(frames);
  on.memory.unplaced().Clear();
  // Until here, their pages may have been read.
  if (on.guest() != nullptr) on.guest()->Forget();
  on.life.MarkRelinquished();
  return freed;
}

DomainInfo Domain::Info() const {
  DomainInfo info;
  info.id = id();
  info.name = name();
  info.uuid = uuid_;
  info.arch = abi_->arch;
  info.pci_devices = pci_devices_;
  std::shared_ptr<const Kernel> kernel;
  {
    absl::MutexLock lock(&info_mu_);
    kernel = kernel_;
    info.state = shown_.state;
    info.suspended = shown_.suspended;
    info.suspension = shown_.suspension;
    info.handover = shown_.handover;
    info.vcpus = shown_.vcpus;
    info.memory = shown_.memory;
    info.balloon_driver = shown_.balloon_driver;
  }
  info.e820 = kernel->config.e820;
  info.p2m = kernel->config.p2m;
  info.hotplug_limit_gib = kernel->config.hotplug_limit_gib;
  info.pae_kernel = kernel->config.pae_kernel;
  if (info.balloon_driver.has_value()) {
    info.balloon_driver->extra_regions = kernel->extra_regions;
  }
  AddPoolFigures(info.state, info.balloon_driver, PageCount(0), info.memory);
  return info;
}

DomainMemory Domain::Memory() const {
  DomainState state;
  DomainMemory memory;
  std::optional<BalloonDriverInfo> driver;
  {
    absl::MutexLock lock(&info_mu_);
    state = shown_.state;
    memory = shown_.memory;
    driver = shown_.balloon_driver;
  }
  AddPoolFigures(state, driver, PageCount(0), memory);
  return memory;
}

DomainMemory Domain::MemoryDuring(const Parts& parts, PageCount claimed) const {
  DomainMemory memory = MemoryOf(parts);
  AddPoolFigures(parts.life.state(), DriverOf(parts), claimed, memory);
  return memory;
}

void Domain::AddPoolFigures(DomainState state,
                            const std::optional<BalloonDriverInfo>& driver,
                            PageCount claimed, DomainMemory& memory) const {
  memory.foreign_held = pool_.HeldBy(id());
  memory.current += memory.foreign_held;
  memory.shortfall = FindShortfall(state, memory, driver,
                                   pool_.available(ReachOf(*abi_)) + claimed);
}

DomainMemory Domain::MemoryOf(const Parts& parts) {
  const bool dying = parts.life.dying();
  DomainMemory memory;
  memory.current = parts.reservation.current();
  memory.max = parts.reservation.max_pages();
  memory.static_max = parts.reservation.static_max();
  memory.target = parts.reservation.target();
  if (!dying) memory.p2m_pages = parts.memory.list_pages().size();
  const Guest* guest = parts.guest();
  if (guest == nullptr) return memory;
  memory.balloon_state = guest->balloon().driver().policy().state();
  if (dying) return memory;
  if (guest->processes() != nullptr) {
    memory.address_space_pages = guest->processes()->pages();
  }
  memory.balloon = guest->balloon().size();
  memory.available = guest->free_pages().count();
  return memory;
}

void Domain::Show(const Parts& parts) {
  Shown now;
  const Life& life = parts.life;
  now.state = life.state();
  now.suspended = life.suspended();
  if (life.suspended()) now.suspension = life.suspension();
  now.handover = life.handover();
  now.vcpus = vcpus_.count();
  now.memory = MemoryOf(parts);
  now.balloon_driver = DriverOf(parts);
  absl::MutexLock lock(&info_mu_);
  shown_ = std::move(now);
}

std::optional<PageCount> Domain::TryPages() const {
  if (!mu_.TryLock()) return std::nullopt;
  const PageCount pages = parts_.reservation.current();
  mu_.Unlock();
  return pages;
}

}  // namespace simvisor
