// A domain made of an image: frames as they come, then the guest they hold.
//
// While it comes in, a domain is a list of frames without a guest.  Its guest
// is another Domain of the same id, made at the end out of what the kernel had
// noted about itself, which takes frames and contents over.

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "domain/domain/domain.h"
#include "domain/units/error.h"
#include "domain/units/state_codec.h"
#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

constexpr uint64_t kNotesVersion = 1;

absl::Status Malformed(absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
      absl::StrCat("what the guest's kernel noted about itself: ", what));
}

// What the kernel was built and booted with.
void EncodeConfig(const DomainSpec& spec, StateWriter& out) {
  out.Put(spec.hotplug_limit_gib);
  out.Put(spec.p2m.tools_view == ToolsView::kLinear ? 1 : 0);
  out.Put(spec.p2m.balloon_room == BalloonRoom::kCompact ? 1 : 0);
  out.Put(spec.balloon_max_retry);
  out.Put(spec.pae_kernel.shared_kernel_pmd ? 1 : 0);
  out.Put(static_cast<uint64_t>(spec.pae_kernel.user_pgds));
  out.Put(spec.e820_host ? 1 : 0);
  out.Put(spec.e820.entries().size());
  for (const E820Entry& entry : spec.e820.entries()) {
    out.Put(entry.start);
    out.Put(entry.size);
    out.Put(static_cast<uint64_t>(entry.type));
  }
}

absl::Status DecodeConfig(StateReader& in, DomainSpec& spec) {
  spec.hotplug_limit_gib = static_cast<uint32_t>(in.Get(~uint32_t{0}));
  spec.p2m.tools_view = in.Get(1) == 1 ? ToolsView::kLinear : ToolsView::kTree;
  spec.p2m.balloon_room =
      in.Get(1) == 1 ? BalloonRoom::kCompact : BalloonRoom::kFaithful;
  spec.balloon_max_retry = static_cast<uint32_t>(in.Get(~uint32_t{0}));
  spec.pae_kernel.shared_kernel_pmd = in.Get(1) == 1;
  spec.pae_kernel.user_pgds = static_cast<int>(in.Get(kPaeTopEntries - 1));
  spec.e820_host = in.Get(1) == 1;
  std::vector<E820Entry> entries;
  for (uint64_t n = in.GetCount(); n > 0 && in.ok(); --n) {
    E820Entry entry;
    entry.start = in.Get();
    entry.size = in.Get();
    entry.type = static_cast<E820Type>(
        in.Get(static_cast<uint64_t>(E820Type::kUnusable)));
    if (entry.type < E820Type::kRam) in.Fail();
    entries.push_back(entry);
  }
  if (!in.ok() || spec.pae_kernel.user_pgds == 0) {
    return Malformed("its configuration makes no sense");
  }
  absl::StatusOr<E820Map> map = E820Map::Create(std::move(entries));
  if (!map.ok()) return Malformed(map.status().message());
  spec.e820 = *std::move(map);
  return absl::OkStatus();
}

void EncodeSet(const PfnSet& set, StateWriter& out) {
  out.Put(set.extents().size());
  for (const auto& [first, end] : set.extents()) {
    out.Put(ExtentBetween(first, end));
  }
}

PfnSet DecodeSet(StateReader& in, Pfn end) {
  PfnSet set;
  for (uint64_t n = in.GetCount(); n > 0 && in.ok(); --n) {
    set.Add(in.GetPfns(end));
  }
  return set;
}

// Whether a page was received for each of `ram`.
absl::Status CheckReceived(const PfnSet& ram, const ReceivedPages& received) {
  for (const auto& [first, end] : ram.extents()) {
    const PageCount got = received.pages.CountIn(ExtentBetween(first, end));
    if (got == end - first) continue;
    return Malformed(absl::StrFormat(
        "pfns [0x%x, 0x%x) are RAM, but pages were sent for %d of them alone",
        first.value(), end.value(), got.value()));
  }
  return absl::OkStatus();
}

}  // namespace

void Domain::EncodeKernel(StateWriter& out) const {
  out.Put(kNotesVersion);
  EncodeConfig(spec_, out);
  out.Put(vcpus_);
  out.Put(target_.value());
  out.Put(static_max_.value());
  out.Put(max_pages_.value());
  PfnSet ram;
  for (Pfn at(0); at < list_->p2m_size();) {
    const P2mRun run = list_->RunAt(at, list_->p2m_size(), P2mView::kResolved,
                                    RunMerge::kByClass);
    if (run.word.Class() == P2mClass::kRam) ram.Add(run.pfns);
    at = run.pfns.end();
  }
  EncodeSet(ram, out);
  list_->Encode(out);
  EncodeSet(free_pages_.set(), out);
  out.Put(remapped_.value());
  out.Put(released_.value());
  out.Put(extra_regions_.size());
  for (const PfnExtent& region : extra_regions_) out.Put(region);
  balloon_.Encode(out);
  driver_.Encode(out);
  if (address_spaces_ != nullptr) address_spaces_->Encode(out);
  // Last, and only if there is one: notes may end before it.
  if (load_ != nullptr) load_->Encode(out);
}

absl::StatusOr<std::shared_ptr<Domain>> Domain::PlanIncoming(Params params,
                                                             Pfn end,
                                                             FramePool& pool) {
  const Abi& abi = AbiOf(params.spec.arch);
  SIMVISOR_ASSIGN_OR_RETURN(
      std::unique_ptr<P2mList> list,
      P2mList::Create(abi, end, params.spec.p2m, params.faults));
  list->ExpectImage(end);
  return std::shared_ptr<Domain>(new Domain(
      std::move(params), MemorySetup(), PageCount(0), std::move(list), pool));
}

absl::Status Domain::TakeIn(ReceivedPages& received) {
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  Place(received.pages, received);
  return absl::OkStatus();
}

void Domain::Place(const PfnSet& pages, ReceivedPages& received) {
  for (const auto& [first, end] : pages.extents()) {
    for (Pfn at = first; at < end;) {
      const PageCount done =
          pool_.Populate(received.claim, id_, ExtentBetween(at, end),
                         [this](Pfn pfn, absl::Span<const MfnExtent> frames) {
                           list_->StoreFrames(pfn, frames);
                         });
      current_ += done;
      at += done;
    }
  }
  received.claim = FrameClaim();
  // The domain's lock is held while the pages are handed over.
  received.contents.TakeAll([this](uint64_t pfn, std::unique_ptr<Page> page)
                                ABSL_NO_THREAD_SAFETY_ANALYSIS {
                                  const P2mWord word = list_->Lookup(Pfn(pfn));
                                  if (word.Class() != P2mClass::kRam) return;
                                  contents_.Put(Mfn(word.Number()),
                                                std::move(page));
                                });
}

absl::Status Domain::AdoptForeignKernel(absl::Span<const uint64_t> leaves,
                                        uint32_t vcpus) {
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  vcpus_ = std::max(vcpus_, vcpus);
  absl::MutexLock affinity_lock(&affinity_mu_);
  affinities_.Grow(vcpus_);
  list_->AdoptBuilderPages(leaves);
  foreign_kernel_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Domain>> Domain::Awaken(
    ReceivedPages& received, absl::string_view notes,
    absl::Span<const Pfn> record_pages, LimitsFrom limits, Arrival arrival) {
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  StateReader in(notes);
  if (in.Get() != kNotesVersion) {
    return Malformed("they are of another version of the kernel");
  }
  const VcpuAffinities affinities = CopyAffinities();
  Params params = {.id = id_,
                   .spec = spec_,
                   .initial = false,
                   .max_pages = max_pages_,
                   .affinities = affinities,
                   .faults = faults_};
  SIMVISOR_RETURN_IF_ERROR(DecodeConfig(in, params.spec));
  params.spec.vcpus =
      std::max(vcpus_, static_cast<uint32_t>(in.Get(kMaxVcpus)));
  params.affinities.Grow(params.spec.vcpus);
  SIMVISOR_RETURN_IF_ERROR(DecodeLimits(in, limits, params));
  // Pages that the guest ballooned out after they were sent do not come back.
  const PfnSet ram = DecodeSet(in, list_->p2m_size());
  SIMVISOR_RETURN_IF_ERROR(CheckReceived(ram, received));
  Place(ram, received);
  SIMVISOR_ASSIGN_OR_RETURN(
      std::unique_ptr<P2mList> list,
      P2mList::Restore(*abi_, params.spec.p2m, *list_, in, faults_));
  std::shared_ptr<Domain> guest(new Domain(
      std::move(params), MemorySetup(), PageCount(0), std::move(list), pool_));
  SIMVISOR_RETURN_IF_ERROR(guest->TakeOver(*this, in, record_pages));
  if (arrival == Arrival::kHeld) guest->Hold();
  // All that it had is the guest's.
  contents_ = PageContents();
  current_ = PageCount(0);
  list_->ClearFrames({Pfn(0), list_->p2m_size() - Pfn(0)});
  dying_.store(true, std::memory_order_release);
  state_ = DomainState::kDying;
  gave_all_back_.store(true, std::memory_order_release);
  return guest;
}

void Domain::Hold() {
  absl::MutexLock lock(&mu_);
  suspended_ = true;
  ++suspensions_;
  handover_ = Handover::kIncoming;
}

absl::Status Domain::DecodeLimits(StateReader& in, LimitsFrom limits,
                                  Params& params) const {
  const uint64_t most = abi_->max_domain_pages().value();
  const PageCount target(in.Get(most));
  const PageCount static_max(in.Get(most));
  const PageCount max_pages(in.Get(most + kMaxMemSlack.value()));
  if (!in.ok() || target == PageCount(0) || target > static_max) {
    return Malformed("its target or limits make no sense");
  }
  if (limits == LimitsFrom::kSpec) return absl::OkStatus();
  params.spec.memory = target;
  params.spec.max_memory = static_max;
  params.max_pages = max_pages;
  return absl::OkStatus();
}

absl::Status Domain::TakeOver(Domain& incoming, StateReader& in,
                              absl::Span<const Pfn> record_pages) {
  absl::MutexLock lock(&mu_);
  current_ = incoming.current_;
  contents_ = std::move(incoming.contents_);
  const absl::Status status = DecodeGuest(in, record_pages);
  if (status.ok()) return status;
  incoming.contents_ = std::move(contents_);
  current_ = PageCount(0);
  return status;
}

absl::Status Domain::DecodeGuest(StateReader& in,
                                 absl::Span<const Pfn> record_pages) {
  const Pfn end = list_->p2m_size();
  const PfnSet free = DecodeSet(in, end);
  for (const auto& [first, last] : free.extents()) {
    free_pages_.Return(ExtentBetween(first, last));
  }
  remapped_ = PageCount(in.Get());
  released_ = PageCount(in.Get());
  for (uint64_t n = in.GetCount(); n > 0 && in.ok(); --n) {
    extra_regions_.push_back(in.GetPfns(end));
  }
  balloon_.Decode(in, end);
  driver_.Decode(in, current_);
  CountBalloon();
  if (abi_->arch == Arch::kX86_32Pae) {
    MakeAddressSpaces();
    address_spaces_->Decode(in, end);
  }
  if (in.ok() && !in.done()) {
    std::optional<GuestLoad> load = GuestLoad::Decode(in, end);
    if (load.has_value()) load_ = std::make_shared<GuestLoad>(*std::move(load));
  }
  if (!in.done()) return Malformed("they end early or late");
  state_ = DomainState::kPaused;
  booted_.store(true, std::memory_order_release);
  std::vector<std::string> findings;
  uint64_t words = 0;
  Audit(findings, &words);
  if (!findings.empty()) return Malformed(findings.front());
  DropKernelPages(record_pages);
  return absl::OkStatus();
}

void Domain::DropKernelPages(absl::Span<const Pfn> record_pages) {
  // Their content follows from the kernel's state.
  PfnSet pages;
  for (const Pfn pfn : record_pages) pages.Add({pfn, PageCount(1)});
  list_->structure().ForEach([&](PfnExtent pfns) { pages.Add(pfns); });
  if (address_spaces_ != nullptr) {
    address_spaces_->ForEachPage([&](PfnExtent pfns) { pages.Add(pfns); });
  }
  ZeroPages(pages);
}

}  // namespace simvisor
