#include "domain/vm/domain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace simvisor {
namespace {

Pfn HotplugLimit(const DomainSpec& spec) {
  return Pfn(spec.hotplug_limit_gib * kPagesPerGiB);
}

// Pages of a guest with `pages` pages that its kernel may use at boot: the RAM
// of its map, but for the first MiB.
PfnSet UsablePages(const E820Map& map, PageCount pages) {
  PfnSet usable;
  for (const PfnExtent& ram : map.RamPages()) {
    usable.Add(
        ExtentBetween(ram.first, std::min(ram.end(), Pfn(pages.value()))));
  }
  usable.Remove({Pfn(0), kKernelLowPages});
  return usable;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Domain>> Domain::Plan(Params params,
                                                     FramePool& pool) {
  const DomainSpec& spec = params.spec;
  const Abi& abi = AbiOf(spec.arch);
  SIMVISOR_ASSIGN_OR_RETURN(
      MemorySetup setup,
      PlanMemorySetup(
          {.abi = &abi,
           .e820 = &spec.e820,
           .nr_pages = spec.memory,
           .ceiling = params.no_ceiling ? kNoCeiling : params.max_pages,
           .initial = params.initial,
           .area_limit = HotplugLimit(spec)}));
  SIMVISOR_ASSIGN_OR_RETURN(
      const PageCount boot_pages,
      PagesToBoot(abi, spec.memory, setup, HotplugLimit(spec), spec.p2m,
                  params.faults));
  const PageCount usable = UsablePages(spec.e820, spec.memory).size();
  if (boot_pages > usable) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
        absl::StrFormat(
            "create of domain \"%s\": %d pages of memory: the guest needs %d "
            "pages for its p2m list, and %d are left beside the first MiB and "
            "holes of its map; give it more memory, or lower maxmem or the "
            "map's RAM above its memory",
            spec.name, spec.memory.value(), boot_pages.value(),
            usable.value()));
  }
  SIMVISOR_ASSIGN_OR_RETURN(
      std::unique_ptr<P2mList> list,
      P2mList::Create(abi, setup.area_end, spec.p2m, params.faults));
  return std::shared_ptr<Domain>(new Domain(std::move(params), std::move(setup),
                                            boot_pages, std::move(list), pool));
}

Domain::Domain(Params params, MemorySetup setup, PageCount boot_pages,
               std::unique_ptr<P2mList> list, FramePool& pool)
    : id_(params.id),
      abi_(&AbiOf(params.spec.arch)),
      reach_(abi_->arch == Arch::kX86_32Pae ? FrameReach::kLow
                                            : FrameReach::kAll),
      spec_(std::move(params.spec)),
      setup_(std::move(setup)),
      area_limit_(HotplugLimit(spec_)),
      boot_pages_(boot_pages),
      pool_(pool),
      faults_(params.faults),
      name_(spec_.name),
      affinities_(std::move(params.affinities)),
      list_(std::move(list)),
      vcpus_(spec_.vcpus),
      free_pages_(params.faults),
      balloon_(Pfn(abi_->low_memory_pages)),
      driver_(*abi_, spec_.balloon_max_retry),
      contents_(pool.store()),
      max_pages_(params.max_pages),
      static_max_(spec_.max_memory),
      target_(spec_.memory) {
  Show();
}

Domain::ChangeLock::ChangeLock(Domain* domain) : domain_(domain) {
  domain_->mu_.Lock();
}

// The analysis does not know that domain_ is what the constructor locked.
Domain::ChangeLock::~ChangeLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  domain_->Show();
  domain_->mu_.Unlock();
}

absl::Status Domain::Populate(StopCheck stop) {
  const ChangeLock lock(this);
  const PfnSet usable = UsablePages(spec_.e820, spec_.memory);
  for (const auto& [first, end] : usable.extents()) {
    free_pages_.Return(ExtentBetween(first, end));
  }
  absl::Status status = list_->Build(spec_.memory, free_pages_);
  if (status.ok()) status = GiveInitialFrames(stop);
  if (!status.ok()) {
    std::vector<DomainId> drained;  // it has mapped nothing
    Die(&drained);
  }
  return status;
}

absl::Status Domain::GiveInitialFrames(StopCheck stop) {
  absl::StatusOr<FrameClaim> claim = pool_.Claim(spec_.memory, reach_);
  if (!claim.ok()) {
    return MakeError(claim.status().code(), Reason::kHostMemoryExhausted,
                     absl::StrFormat("create of domain \"%s\": %s", spec_.name,
                                     claim.status().message()));
  }
  while (current_ < spec_.memory) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    current_ += pool_.Populate(
        *claim, id_, {Pfn(current_.value()), spec_.memory - current_},
        [this](Pfn pfn, absl::Span<const MfnExtent> frames) {
          list_->StoreFrames(pfn, frames);
        });
  }
  return absl::OkStatus();
}

absl::Status Domain::Boot() {
  // A kernel whose memory allocator is not up yet stops for good when a page
  // cannot be had.  All of them are settled first, so that the domain stays as
  // it was instead.
  const PageCount needed = std::min(PagesStillToBoot(), free_pages_.count());
  const FreePages::Settled pages(free_pages_, needed);
  if (pages.count() < needed) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("domain %d: boot: its guest needs %d pages for its p2m "
                        "list and got %d; try again, or create it with more "
                        "memory",
                        id_.value(), needed.value(), pages.count().value()));
  }
  SIMVISOR_ASSIGN_OR_RETURN(
      BootResult result, BootGuest(*list_, setup_, area_limit_, free_pages_));
  for (const BootResult::MovedFrames& moved : result.moved) {
    pool_.SetPfns(moved.frames, moved.first);
    remapped_ += moved.frames.count;
    free_pages_.Return({moved.first, moved.frames.count});
  }
  const PageCount before = current_;
  FreeFrames(result.released);
  released_ = before - current_;
  FollowRelease(before);
  for (const auto& [first, end] : list_->extra_regions().extents()) {
    extra_regions_.push_back(ExtentBetween(first, end));
    balloon_.Push(extra_regions_.back());
  }
  driver_.Start(current_);
  CountBalloon();
  if (abi_->arch == Arch::kX86_32Pae) MakeAddressSpaces();
  booted_.store(true, std::memory_order_release);
  return absl::OkStatus();
}

void Domain::MakeAddressSpaces() {
  address_spaces_ = std::make_unique<AddressSpaces>(
      absl::StrFormat("domain %d", id_.value()), spec_.pae_kernel, *list_);
  list_->SetPmdListener(address_spaces_.get());
}

DomainInfo Domain::Info() const {
  DomainInfo info;
  info.id = id_;
  info.name = name();
  info.uuid = spec_.uuid;
  info.arch = spec_.arch;
  info.e820 = spec_.e820;
  info.pci_devices = spec_.pci_devices;
  info.p2m = spec_.p2m;
  info.hotplug_limit_gib = spec_.hotplug_limit_gib;
  info.pae_kernel = spec_.pae_kernel;
  {
    absl::MutexLock lock(&info_mu_);
    info.state = shown_.state;
    info.suspended = shown_.suspended;
    info.suspension = shown_.suspension;
    info.handover = shown_.handover;
    info.vcpus = shown_.vcpus;
    info.memory = shown_.memory;
    info.balloon_driver = shown_.balloon_driver;
  }
  // These do not change once there is a driver to be shown.
  if (info.balloon_driver.has_value()) {
    info.balloon_driver->extra_regions = extra_regions_;
  }
  info.memory.foreign_held = pool_.HeldBy(id_);
  info.memory.current += info.memory.foreign_held;
  return info;
}

DomainMemory Domain::Memory() const {
  DomainMemory memory;
  {
    absl::MutexLock lock(&info_mu_);
    memory = shown_.memory;
  }
  memory.foreign_held = pool_.HeldBy(id_);
  memory.current += memory.foreign_held;
  return memory;
}

void Domain::Show() {
  Shown now;
  now.state = state_;
  now.suspended = suspended_;
  if (suspended_) now.suspension = suspensions_;
  now.handover = handover_;
  now.vcpus = vcpus_;
  now.memory.current = current_;
  now.memory.max = max_pages_;
  now.memory.static_max = static_max_;
  now.memory.target = target_;
  now.memory.balloon_state = driver_.policy().state();
  if (state_ != DomainState::kDying) {
    now.memory.p2m_pages = list_->structure().size();
    if (address_spaces_ != nullptr) {
      now.memory.address_space_pages = address_spaces_->pages();
    }
    if (booted_.load(std::memory_order_relaxed)) {
      now.memory.balloon = balloon_.size() + entering_;
      now.memory.available = free_pages_.count();
      now.balloon_driver = DriverInfo();
    }
  }
  absl::MutexLock lock(&info_mu_);
  shown_ = std::move(now);
}

std::optional<PageCount> Domain::PagesAtOnce() const {
  if (!mu_.TryLock()) return std::nullopt;
  const PageCount pages = current_;
  mu_.Unlock();
  return pages;
}

bool Domain::IsAtWork() const { return !PagesAtOnce().has_value(); }

std::string Domain::name() const {
  absl::MutexLock lock(&name_mu_);
  return name_;
}

void Domain::Rename(absl::string_view name) {
  absl::MutexLock lock(&name_mu_);
  name_ = std::string(name);
}

absl::StatusOr<DomainState> Domain::Pause() {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended("pause"));
  if (state_ == DomainState::kRunning) state_ = DomainState::kPaused;
  return state_;
}

absl::StatusOr<DomainState> Domain::Unpause(StopCheck stop) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended("unpause"));
  SIMVISOR_RETURN_IF_ERROR(CheckOwnKernel("unpause"));
  if (state_ == DomainState::kRunning) return state_;
  SIMVISOR_RETURN_IF_ERROR(stop());
  if (state_ == DomainState::kBuilt) {
    SIMVISOR_RETURN_IF_ERROR(Boot());
  } else if (!list_->tools_fresh()) {
    // A restored guest resumes; what it publishes takes no page.
    SIMVISOR_RETURN_IF_ERROR(list_->PublishToTools(free_pages_));
  }
  state_ = DomainState::kRunning;
  Show();
  // The guest runs, however far its driver got before it was stopped.
  ReadTarget(stop).IgnoreError();
  return state_;
}

absl::StatusOr<PageCount> Domain::Destroy(std::vector<DomainId>* drained) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  return Die(drained);
}

PageCount Domain::Die(std::vector<DomainId>* drained) {
  dying_.store(true, std::memory_order_release);
  state_ = DomainState::kDying;
  suspended_ = false;  // nobody saves or moves it any more
  {
    absl::MutexLock lock(&affinity_mu_);
    affinities_.Clear();
  }
  Show();
  PageCount freed = DropForeign(drained);
  std::vector<MfnExtent> frames;
  for (PfnExtent rest = {Pfn(0), list_->p2m_size() - Pfn(0)}; !rest.empty();) {
    frames.clear();
    rest = ExtentBetween(CollectFrames(rest, kMaxRuns, frames), rest.end());
    freed += FreeFrames(frames);
  }
  frames.clear();
  for (const auto& [first, last] : unmapped_frames_.extents()) {
    frames.push_back(ExtentBetween(first, last));
  }
  freed += FreeFrames(frames);
  unmapped_frames_.Clear();
  // Until here, pages of theirs may have been asked for what they hold.
  list_->SetPmdListener(nullptr);
  address_spaces_ = nullptr;
  load_ = nullptr;
  gave_all_back_.store(true, std::memory_order_release);
  return freed;
}

void Domain::FollowRelease(PageCount before) {
  target_ = target_ >= before ? target_ - (before - current_)
                              : std::min(target_, current_);
  if (booted_.load(std::memory_order_relaxed)) {
    driver_.Release(before - current_);
  }
}

PageCount Domain::FreeFrames(absl::Span<const MfnExtent> frames) {
  if (frames.empty()) return PageCount(0);
  // The domain's lock is held while the pool asks.
  const auto content = [this](Mfn mfn, Pfn pfn) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return TakeContent(mfn, pfn);
  };
  const PageCount freed = pool_.Free(frames, content);
  for (const MfnExtent& extent : frames) {
    contents_.Drop(extent);
    current_ -= extent.count;
  }
  Show();
  return freed;
}

Pfn Domain::CollectFrames(PfnExtent pfns, size_t max_runs,
                          std::vector<MfnExtent>& frames) const {
  return list_->CollectFrames(pfns.first, pfns.end(), max_runs, frames);
}

absl::Status Domain::CheckAlive() const {
  if (state_ != DomainState::kDying) return absl::OkStatus();
  return DyingError(pool_.HeldBy(id_));
}

absl::Status Domain::DyingError(PageCount held) const {
  const std::string until =
      held == PageCount(0)
          ? ""
          : absl::StrFormat(
                " until other domains unmap the last %d of its "
                "frames",
                held.value());
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainDying,
      absl::StrFormat("domain %d is dying%s; nothing can be done with it",
                      id_.value(), until));
}

absl::Status Domain::CheckOwnKernel(absl::string_view operation) const {
  if (!foreign_kernel_) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kGuestKernelUnknown,
      absl::StrFormat("domain %d: %s: it was restored from an image of a guest "
                      "whose kernel is not simulated, so it cannot run; its "
                      "memory and p2m words can be read",
                      id_.value(), operation));
}

absl::Status Domain::CheckBooted(absl::string_view operation) const {
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  SIMVISOR_RETURN_IF_ERROR(CheckOwnKernel(operation));
  if (state_ != DomainState::kBuilt) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainNotBooted,
      absl::StrFormat("domain %d: %s: its guest has not booted; unpause it",
                      id_.value(), operation));
}

absl::Status Domain::CheckRunning(absl::string_view operation) const {
  SIMVISOR_RETURN_IF_ERROR(CheckNotSuspended(operation));
  if (state_ == DomainState::kRunning) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDomainNotRunning,
      absl::StrFormat("domain %d: %s: its guest does not run, so its balloon "
                      "driver cannot answer; unpause it",
                      id_.value(), operation));
}

}  // namespace simvisor
