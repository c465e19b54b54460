#include "domain/vm/domain.h"

#include <algorithm>
#include <cassert>
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
      std::unique_ptr<P2mWords> words,
      P2mWords::Create(abi, setup.area_end, params.faults));
  return std::shared_ptr<Domain>(new Domain(
      std::move(params), std::move(setup), boot_pages, std::move(words), pool));
}

Domain::Domain(Params params, MemorySetup setup, PageCount boot_pages,
               std::unique_ptr<P2mWords> words, FramePool& pool)
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
      vcpus_(spec_.vcpus, std::move(params.affinities), end_),
      words_(std::move(words)),
      reservation_(params.max_pages, spec_.max_memory, spec_.memory),
      free_pages_(params.faults),
      balloon_(*abi_, spec_.balloon_max_retry),
      contents_(pool.store()) {
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

absl::Status Domain::Populate(const Operation& operation) {
  const ChangeLock lock(this);
  const PfnSet usable = UsablePages(spec_.e820, spec_.memory);
  for (const auto& [first, end] : usable.extents()) {
    free_pages_.Return(ExtentBetween(first, end));
  }
  absl::StatusOr<BuilderList> built =
      BuilderList::Build(*words_, spec_.memory, free_pages_);
  absl::Status status = built.status();
  if (status.ok()) {
    built_.emplace(*std::move(built));
    status = GiveInitialFrames(operation.stop);
  }
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
  while (reservation_.current() < spec_.memory) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    const PageCount had = reservation_.current();
    reservation_.Gained(
        pool_.Populate(*claim, id_, {Pfn(had.value()), spec_.memory - had},
                       [this](Pfn pfn, absl::Span<const MfnExtent> frames) {
                         words_->StoreFrames(pfn, frames);
                       }));
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
    return Context(id_, "boot")
        .Refuse(
            absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
            "",
            absl::StrFormat("its guest needs %d pages for its p2m list and got "
                            "%d; try again, or create it with more memory",
                            needed.value(), pages.count().value()));
  }
  assert(built_.has_value());
  SIMVISOR_ASSIGN_OR_RETURN(BootResult result,
                            BootGuest(*std::move(built_), setup_, spec_.p2m,
                                      area_limit_, free_pages_));
  built_.reset();
  list_ = std::move(result.list);
  for (const BootResult::MovedFrames& moved : result.moved) {
    pool_.SetPfns(moved.frames, moved.first);
    remapped_ += moved.frames.count;
    free_pages_.Return({moved.first, moved.frames.count});
  }
  const PageCount before = reservation_.current();
  FreeFrames(result.released);
  released_ = before - reservation_.current();
  FollowRelease(before);
  for (const auto& [first, end] : list_->extra_regions().extents()) {
    extra_regions_.push_back(ExtentBetween(first, end));
    balloon_.list().Push(extra_regions_.back());
  }
  balloon_.Start(reservation_.current());
  if (abi_->arch == Arch::kX86_32Pae) MakeAddressSpaces();
  booted_.store(true, std::memory_order_release);
  return absl::OkStatus();
}

const StructurePages& Domain::structure() const {
  static const auto* const kNone = new StructurePages;
  if (list_ != nullptr) return list_->structure();
  return built_.has_value() ? built_->pages() : *kNone;
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
  now.state = life_.state();
  now.suspended = life_.suspended();
  if (life_.suspended()) now.suspension = life_.suspension();
  now.handover = life_.handover();
  now.vcpus = vcpus_.count();
  now.memory.current = reservation_.current();
  now.memory.max = reservation_.max_pages();
  now.memory.static_max = reservation_.static_max();
  now.memory.target = reservation_.target();
  now.memory.balloon_state = balloon_.driver().policy().state();
  if (!life_.dying()) {
    now.memory.p2m_pages = structure().size();
    if (address_spaces_ != nullptr) {
      now.memory.address_space_pages = address_spaces_->pages();
    }
    if (booted_.load(std::memory_order_relaxed)) {
      now.memory.balloon = balloon_.size();
      now.memory.available = free_pages_.count();
      now.balloon_driver = DriverInfo();
    }
  }
  absl::MutexLock lock(&info_mu_);
  shown_ = std::move(now);
}

std::optional<PageCount> Domain::PagesAtOnce() const {
  if (!mu_.TryLock()) return std::nullopt;
  const PageCount pages = reservation_.current();
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

absl::StatusOr<DomainState> Domain::Pause(const Operation& operation) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, operation.name}, Needs::kAwake));
  life_.Pause();
  return life_.state();
}

absl::StatusOr<DomainState> Domain::Unpause(const Operation& operation) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwakeOwnKernel));
  if (life_.runs()) return life_.state();
  SIMVISOR_RETURN_IF_ERROR(operation.stop());
  if (life_.built()) {
    SIMVISOR_RETURN_IF_ERROR(Boot());
  } else if (!list_->fresh()) {
    // A restored guest resumes; what it publishes takes no page.
    SIMVISOR_RETURN_IF_ERROR(list_->Publish(free_pages_));
  }
  life_.Run();
  Show();
  // The guest runs, however far its driver got before it was stopped.
  ReadTarget(operation.stop).IgnoreError();
  return life_.state();
}

absl::StatusOr<PageCount> Domain::Destroy(const Operation& operation,
                                          std::vector<DomainId>* drained) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, operation.name}, Needs::kAlive));
  return Die(drained);
}

PageCount Domain::Die(std::vector<DomainId>* drained) {
  life_.BeginDying();
  vcpus_.Clear();
  Show();
  PageCount freed = DropForeign(drained);
  std::vector<MfnExtent> frames;
  for (PfnExtent rest = {Pfn(0), words_->size() - Pfn(0)}; !rest.empty();) {
    frames.clear();
    rest = ExtentBetween(words_->CollectFrames(rest, kMaxRuns, frames),
                         rest.end());
    freed += FreeFrames(frames);
  }
  frames.clear();
  for (const auto& [first, last] : unmapped_frames_.extents()) {
    frames.push_back(ExtentBetween(first, last));
  }
  freed += FreeFrames(frames);
  unmapped_frames_.Clear();
  // Until here, pages of theirs may have been asked for what they hold.
  if (list_ != nullptr) list_->SetPmdListener(nullptr);
  address_spaces_ = nullptr;
  load_ = nullptr;
  life_.GaveAllBack();
  return freed;
}

void Domain::FollowRelease(PageCount before) {
  const PageCount released = before - reservation_.current();
  reservation_.TargetDropsBy(released, before);
  if (booted_.load(std::memory_order_relaxed)) {
    balloon_.Release(released, before);
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
    reservation_.Lost(extent.count);
  }
  Show();
  return freed;
}

absl::Status Domain::Check(const Context& context, Needs needs) const {
  return life_.Check(context, needs,
                     life_.dying() ? pool_.HeldBy(id_) : PageCount(0));
}

}  // namespace simvisor
