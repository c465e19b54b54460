#include "domain/host/host.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/boot_log/dom0_map.h"
#include "domain/host/dom0_memory.h"
#include "domain/host/spec_check.h"
#include "domain/vm/planned_domain.h"

namespace simvisor {
namespace {

constexpr char kDom0Name[] = "Domain-0";
// Entries of the m2p table that 32-bit PV guests see
// (MACH2PHYS_COMPAT_NR_ENTRIES): 166 GiB of frames.
constexpr uint64_t kCompatM2pEntries = 43515904;

// One past the last frame that a 32-bit PV guest may get.  If the guest's m2p
// table covers the whole machine, that is the machine's end; otherwise it is
// the largest power of two that the table covers, 128 GiB.  Source:
// domain_clamp_alloc_bitsize(), switch_compat() in arch/x86 of Xen.
Mfn CompatEnd(Mfn max_mfn) {
  return max_mfn.value() <= kCompatM2pEntries
             ? max_mfn
             : Mfn(std::bit_floor(kCompatM2pEntries));
}

PageCount Dom0StartMemory(const HostConfig& config) {
  return config.dom0_max_memory == PageCount(0)
             ? config.dom0_memory
             : std::min(config.dom0_memory, config.dom0_max_memory);
}

// The selector as its sender wrote it.
std::string ValueOf(const DomainSelector& selector) {
  if (const auto* id = std::get_if<DomainId>(&selector)) {
    return absl::StrCat(id->value());
  }
  if (const auto* name = std::get_if<std::string>(&selector)) return *name;
  return UuidToString(std::get<Uuid>(selector));
}

absl::Status NotFound(const DomainSelector& selector) {
  return MakeError(
      absl::StatusCode::kNotFound, Reason::kDomainNotFound,
      absl::StrFormat("%s does not exist; list shows those that do",
                      ToString(selector)),
      {{fact::kValue, ValueOf(selector)}});
}

}  // namespace

std::string ToString(const DomainSelector& selector) {
  if (const auto* id = std::get_if<DomainId>(&selector)) {
    return absl::StrFormat("domain %d", id->value());
  }
  if (const auto* name = std::get_if<std::string>(&selector)) {
    return absl::StrFormat("domain \"%s\"", *name);
  }
  return absl::StrFormat("domain %s", UuidToString(std::get<Uuid>(selector)));
}

absl::Status Host::Dom0Protected(absl::string_view operation) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, Reason::kDom0Protected,
      absl::StrFormat("%s of domain 0: it is the control domain and lives as "
                      "long as the machine; stop the daemon instead",
                      operation),
      {{fact::kOperation, operation}, {fact::kDomid, 0}});
}

absl::StatusOr<std::unique_ptr<Host>> Host::Create(const HostConfig& config) {
  if (config.cpus == 0 || config.cpus > kMaxHostCpus) {
    return MakeError(absl::StatusCode::kInvalidArgument, Reason::kCpuInvalid,
                     absl::StrFormat("a machine with %d CPUs: it must have 1 "
                                     "to %d",
                                     config.cpus, kMaxHostCpus),
                     {{fact::kRequested, config.cpus},
                      {fact::kLimit, kMaxHostCpus},
                      {fact::kUnit, "CPUs"}});
  }
  std::vector<MfnExtent> ram;
  for (const PfnExtent& pages : config.e820.RamPages()) {
    ram.push_back({Mfn(pages.first.value()), pages.count});
  }
  SIMVISOR_ASSIGN_OR_RETURN(
      std::unique_ptr<FramePool> pool,
      FramePool::Create(ram, kReservedBelow, config.placement, config.seed,
                        CompatEnd(ram.empty() ? Mfn() : ram.back().end()),
                        config.faults, config.contents_limit));
  SIMVISOR_RETURN_IF_ERROR(
      CheckDom0Memory(config.e820, Dom0StartMemory(config)));
  std::unique_ptr<Host> host(new Host(config, std::move(pool)));
  SIMVISOR_RETURN_IF_ERROR(host->BootDom0(config));
  return host;
}

absl::Status Host::BootDom0(const HostConfig& config) {
  Domain::Params dom0 = {
      .id = kDom0Id,
      .spec = {},
      .initial = true,
      .max_pages = PageCount(0),
      .affinities = VcpuAffinities(cpus_, DomainSpec().vcpus)};
  dom0.spec.name = kDom0Name;
  dom0.spec.memory = Dom0StartMemory(config);
  dom0.spec.max_memory = std::max(dom0.spec.memory, config.dom0_max_memory);
  SIMVISOR_ASSIGN_OR_RETURN(dom0.spec.e820,
                            Dom0Map(config.dom0_e820.value_or(config.e820),
                                    config.dom0_reserves_ibft));
  dom0.spec.hotplug_limit_gib = config.dom0_hotplug_limit_gib;
  dom0.spec.p2m.tools_view = config.dom0_tools_view;
  dom0.max_pages = dom0.spec.max_memory;
  dom0.no_ceiling = config.dom0_no_ceiling;
  dom0.faults = config.faults;
  dom0.mmus = &mmus_;
  SIMVISOR_RETURN_IF_ERROR(CheckDomainSpec(dom0.spec));
  {
    absl::MutexLock lock(&mu_);
    domains_[kDom0Id].name = kDom0Name;
    names_[kDom0Name] = kDom0Id;
    uuids_[dom0.spec.uuid] = kDom0Id;
  }
  return BuildDomain(std::move(dom0), /*start_paused=*/false, NeverStop)
      .status();
}

Host::Host(const HostConfig& config, std::unique_ptr<FramePool> pool)
    : e820_(config.e820),
      placement_(config.placement),
      seed_(config.seed),
      faults_(config.faults),
      cpus_(config.cpus),
      pool_(std::move(pool)),
      mmus_(config.faults, config.waiter),
      image_memory_(config.max_image_memory),
      random_(config.uuid_seed.value_or(config.seed)) {}

HostInfo Host::Info() const {
  const FramePool::Counts counts = pool_->counts();
  HostInfo info;
  info.total = counts.total;
  info.free = counts.free;
  info.owned = counts.owned;
  info.reserved = counts.reserved;
  info.max_mfn = pool_->max_mfn();
  info.seed = seed_;
  info.placement = placement_;
  info.e820 = e820_;
  info.cpu_masks = cpus_.table_size();
  info.contents = pool_->store()->used();
  info.contents_limit = pool_->store()->limit();
  info.domains = visible_.load(std::memory_order_relaxed);
  info.claimed = counts.claimed;
  info.incoming = incoming_.load(std::memory_order_relaxed);
  return info;
}

absl::StatusOr<DomainId> Host::FindId(const DomainSelector& selector) const {
  DomainId id;
  if (const auto* by_id = std::get_if<DomainId>(&selector)) {
    id = *by_id;
  } else if (const auto* name = std::get_if<std::string>(&selector)) {
    auto at = names_.find(*name);
    if (at == names_.end()) return NotFound(selector);
    id = at->second;
  } else {
    auto at = uuids_.find(std::get<Uuid>(selector));
    if (at == uuids_.end()) return NotFound(selector);
    id = at->second;
  }
  auto entry = domains_.find(id);
  if (entry == domains_.end() || !entry->second.visible) {
    return NotFound(selector);
  }
  return id;
}

absl::StatusOr<std::shared_ptr<Domain>> Host::Find(
    const DomainSelector& selector) const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_ASSIGN_OR_RETURN(const DomainId id, FindId(selector));
  return domains_.at(id).domain;
}

std::shared_ptr<Domain> Host::TryFind(const DomainSelector& selector) const {
  if (!mu_.ReaderTryLock()) return nullptr;
  const absl::StatusOr<DomainId> id = FindId(selector);
  std::shared_ptr<Domain> domain = id.ok() ? domains_.at(*id).domain : nullptr;
  mu_.ReaderUnlock();
  return domain;
}

absl::StatusOr<std::shared_ptr<Domain>> Host::FindGuest(
    const DomainSelector& selector, absl::string_view operation) const {
  SIMVISOR_ASSIGN_OR_RETURN(std::shared_ptr<Domain> domain, Find(selector));
  if (domain->id() == kDom0Id) return Dom0Protected(operation);
  return domain;
}

absl::Status Host::CompleteSpec(DomainSpec& spec) const {
  if (spec.max_memory == PageCount(0)) spec.max_memory = spec.memory;
  spec.vcpus = std::max<uint32_t>(spec.vcpus, 1);
  SIMVISOR_RETURN_IF_ERROR(CheckDomainSpec(spec));
  if (spec.e820_host) {
    SIMVISOR_ASSIGN_OR_RETURN(
        spec.e820, GuestE820FromHost(e820_, spec.memory, spec.max_memory));
  } else if (spec.e820.entries().empty()) {
    spec.e820 = E820Map::SingleRam(spec.max_memory);
  }
  return CheckGuestMap(spec);
}

absl::StatusOr<std::shared_ptr<Domain>> Host::CreateDomain(DomainSpec spec,
                                                           bool start_paused,
                                                           StopCheck stop) {
  SIMVISOR_RETURN_IF_ERROR(CompleteSpec(spec));
  SIMVISOR_ASSIGN_OR_RETURN(
      VcpuAffinities affinities,
      VcpuAffinities::Create(
          cpus_, spec.vcpus,
          absl::StrFormat("create of domain \"%s\"", spec.name),
          spec.vcpu_affinities));
  // The domain stores affinities as masks.
  spec.vcpu_affinities = {};
  SIMVISOR_ASSIGN_OR_RETURN(const DomainId id, Reserve(spec, "create"));
  const PageCount max_pages = MaxPagesFor(spec.memory);
  return BuildDomain({.id = id,
                      .spec = std::move(spec),
                      .initial = false,
                      .max_pages = max_pages,
                      .affinities = std::move(affinities),
                      .faults = faults_,
                      .mmus = &mmus_},
                     start_paused, stop);
}

absl::StatusOr<std::shared_ptr<Domain>> Host::BuildDomain(Domain::Params params,
                                                          bool start_paused,
                                                          StopCheck stop) {
  const DomainId id = params.id;
  const auto build = [&]() -> absl::StatusOr<std::shared_ptr<Domain>> {
    SIMVISOR_ASSIGN_OR_RETURN(PlannedDomain planned,
                              PlanDomain(std::move(params), *pool_));
    const std::shared_ptr<Domain> domain = planned.domain;
    Enter(id, domain);
    SIMVISOR_RETURN_IF_ERROR(
        domain->build().Populate({"create", stop}, std::move(planned.plan)));
    if (!start_paused) {
      SIMVISOR_RETURN_IF_ERROR(domain->Unpause({"unpause", stop}).status());
    }
    return domain;
  };
  absl::StatusOr<std::shared_ptr<Domain>> domain = build();
  if (!domain.ok()) {
    Abandon(id);
    return domain;
  }
  absl::MutexLock lock(&mu_);
  Show(domains_.at(id));
  return domain;
}

void Host::Enter(DomainId id, std::shared_ptr<Domain> domain,
                 Promised promised) {
  absl::ReaderMutexLock pass(&gate_);
  absl::MutexLock lock(&mu_);
  Entry& entry = domains_.at(id);
  entry.domain = std::move(domain);
  if (promised == nullptr) return;
  entry.promised = std::move(promised);
  ++incoming_;
}

void Host::EndIncoming(Entry& entry) {
  if (entry.promised == nullptr) return;
  entry.promised = nullptr;
  --incoming_;
}

void Host::ShowArrived(DomainId id) {
  absl::MutexLock lock(&mu_);
  Entry& entry = domains_.at(id);
  EndIncoming(entry);
  Show(entry);
}

std::vector<std::shared_ptr<Domain>> Host::List(DomainId first,
                                                size_t limit) const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<std::shared_ptr<Domain>> listed;
  for (auto at = domains_.lower_bound(first);
       at != domains_.end() && listed.size() < limit; ++at) {
    if (at->second.visible) listed.push_back(at->second.domain);
  }
  return listed;
}

std::vector<IncomingInfo> Host::ListIncoming(DomainId first,
                                             size_t limit) const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<IncomingInfo> listed;
  for (auto at = domains_.lower_bound(first);
       at != domains_.end() && listed.size() < limit; ++at) {
    const Entry& entry = at->second;
    if (entry.promised == nullptr) continue;
    const uint64_t claimed = entry.promised->load(std::memory_order_relaxed);
    listed.push_back({at->first, entry.name, entry.uuid, PageCount(claimed)});
  }
  return listed;
}

absl::StatusOr<Mfn> Host::LookupFrames(MfnExtent frames, size_t max_runs,
                                       std::vector<FrameRun>& runs) const {
  if (frames.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
                     absl::StrFormat("lookup of 0 frames at mfn 0x%x; name at "
                                     "least one",
                                     frames.first.value()),
                     {{fact::kValue, Hex(frames.first.value())}});
  }
  if (!FitsWithin(frames.first, frames.count, max_mfn())) {
    return MakeError(
        absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
        absl::StrFormat(
            "lookup of %d frames from mfn 0x%x: the machine ends at "
            "mfn 0x%x",
            frames.count.value(), frames.first.value(), max_mfn().value()),
        {{fact::kValue, Hex(frames.first.value())},
         {fact::kLimit, Hex(max_mfn().value())}});
  }
  return pool_->ListRuns(frames, max_runs, runs);
}

std::shared_ptr<Domain> Host::FindOwner(Mfn mfn) const {
  const FrameRun run = pool_->Lookup(mfn);
  if (run.state != FrameState::kOwned) return nullptr;
  absl::StatusOr<std::shared_ptr<Domain>> owner = Find(run.owner);
  return owner.ok() ? *std::move(owner) : nullptr;
}

absl::Status Host::ReadFrame(Mfn mfn, absl::Span<char> page, bool* zero) const {
  if (mfn >= max_mfn()) {
    return MakeError(
        absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
        absl::StrFormat("read of mfn 0x%x: the machine ends at mfn "
                        "0x%x",
                        mfn.value(), max_mfn().value()),
        {{fact::kValue, Hex(mfn.value())},
         {fact::kLimit, Hex(max_mfn().value())}});
  }
  const std::shared_ptr<Domain> owner = FindOwner(mfn);
  if (owner != nullptr) {
    return owner->contents().ReadFrame(mfn, page, zero);
  }
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   Reason::kFrameNotReadable,
                   absl::StrFormat("read of mfn 0x%x: it belongs to no domain "
                                   "that is up; frames lookup shows "
                                   "what it is",
                                   mfn.value()),
                   {{fact::kValue, Hex(mfn.value())}});
}

}  // namespace simvisor
