// A domain made of an image: frames as they come, then the guest they hold.
//
// While it comes in, a domain is a list of frames without a guest.  Its guest
// is another Domain of the same id, made at the end out of what the kernel had
// noted about itself.  Every field is checked, against the others and against
// the pages that came (docs/images.md has the table), before a frame is given;
// what follows cannot fail but by being stopped, and then the guest takes
// frames and contents over at once.

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/collections/state_codec.h"
#include "domain/p2m/p2m_codec.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

constexpr uint64_t kNotesVersion = 2;
// Before it, lists told nothing of batches, and drivers took off the room that
// they found.
constexpr uint64_t kFirstNotesVersion = 1;
// Pages that are given frames in one go, with the domain's lock.
constexpr PageCount kPlacedAtOnce{uint64_t{1} << 16};
// Runs or leaves looked at between two looks at a StopCheck.
constexpr uint64_t kLooksPerStop = 4096;

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

E820Map DecodeMap(StateReader& in) {
  std::vector<E820Entry> entries;
  uint64_t n = in.GetCount("config.e820", 3);
  if (n > kMaxE820Entries) {
    in.Fail(absl::StrFormat("%d entries; at most %d", n, kMaxE820Entries));
  }
  for (; n > 0 && in.ok(); --n) {
    E820Entry entry;
    entry.start = in.Get("config.e820.start", kMaxE820Address);
    entry.size = in.Get("config.e820.size", 1, kMaxE820Address);
    entry.type = static_cast<E820Type>(
        in.Get("config.e820.type", static_cast<uint64_t>(E820Type::kRam),
               static_cast<uint64_t>(E820Type::kUnusable)));
    entries.push_back(entry);
  }
  if (!in.ok()) return {};
  absl::StatusOr<E820Map> map = E820Map::Create(std::move(entries));
  if (map.ok()) return *std::move(map);
  in.Fail(map.status().message());
  return {};
}

void DecodeConfig(StateReader& in, DomainSpec& spec) {
  const Abi& abi = AbiOf(spec.arch);
  spec.hotplug_limit_gib = static_cast<uint32_t>(
      in.Get("config.hotplug_limit_gib", abi.pfn_limit / kPagesPerGiB));
  spec.p2m.tools_view =
      in.GetFlag("config.tools_view") ? ToolsView::kLinear : ToolsView::kTree;
  spec.p2m.balloon_room = in.GetFlag("config.balloon_room")
                              ? BalloonRoom::kCompact
                              : BalloonRoom::kFaithful;
  spec.balloon_max_retry =
      static_cast<uint32_t>(in.Get("config.balloon_max_retry", ~uint32_t{0}));
  spec.pae_kernel.shared_kernel_pmd = in.GetFlag("config.shared_kernel_pmd");
  spec.pae_kernel.user_pgds =
      static_cast<int>(in.Get("config.user_pgds", 1, kPaeTopEntries - 1));
  spec.e820_host = in.GetFlag("config.e820_host");
  spec.e820 = DecodeMap(in);
  if (!in.ok() || abi.arch != Arch::kX86_32Pae) return;
  const Pfn ram_end = spec.e820.RamPages().back().end();
  if (ram_end > Pfn(abi.pfn_limit)) {
    in.Fail(
        absl::StrFormat("RAM ends at pfn 0x%x; a guest of %s has it below "
                        "0x%x",
                        ram_end.value(), abi.name, abi.pfn_limit));
  }
}

// What the sizes of a list can be: its area is made for the map's RAM, and for
// the memory hotplug limit.
RestoredWords WordsOf(const DomainSpec& spec, const PfnSet& ram, Pfn end) {
  const Abi& abi = AbiOf(spec.arch);
  const Pfn hotplug(spec.hotplug_limit_gib * kPagesPerGiB);
  const uint64_t leaf = abi.leaf_span();
  const Pfn map_end(std::min(
      (spec.e820.EndPage().value() + leaf - 1) / leaf * leaf, abi.pfn_limit));
  return {.ram = ram,
          .end = end,
          .least_size = std::max(hotplug, end),
          .most_size =
              std::min(AreaEnd(abi, map_end, hotplug), Pfn(abi.pfn_limit))};
}

// Fails `in`, which has read `ram`, unless a page was received for each of it.
void CheckReceived(const PfnSet& ram, const PfnSet& received, StateReader& in) {
  if (in.ok() && ram.empty()) in.Fail("no page; a guest has some");
  for (const auto& [first, end] : ram.extents()) {
    const PageCount got = received.CountIn(ExtentBetween(first, end));
    if (got == end - first) continue;
    in.Fail(absl::StrFormat(
        "pfns [0x%x, 0x%x) are RAM, but pages were sent for only %d of them",
        first.value(), end.value(), got.value()));
    return;
  }
}

// Whether all words of `pfns` are of that class.
bool IsOf(const P2mList& list, P2mClass wanted, PfnExtent pfns) {
  if (pfns.end() > list.p2m_size()) return false;
  const P2mRun run = list.RunAt(pfns.first, pfns.end(), P2mView::kResolved,
                                RunMerge::kByClass);
  return run.word.Class() == wanted && run.pfns.end() == pfns.end();
}

// Whether they are RAM, and no page of the list itself.
bool IsPlainRam(const P2mList& list, PfnExtent pfns) {
  return IsOf(list, P2mClass::kRam, pfns) && !list.structure().Intersects(pfns);
}

// Why pages of the record cannot be where `notes` say; empty if they can.
std::string WrongRecordPage(const GuestNotes& notes, const PfnSet& free) {
  PfnSet seen;
  for (const Pfn page : notes.record_pages) {
    if (!free.Contains(page) || seen.Contains(page)) {
      return absl::StrFormat(
          "start_info or the notes lie in pfn 0x%x, which "
          "the notes %s; each needs a free page of its own",
          page.value(),
          seen.Contains(page) ? "name twice" : "do not call free");
    }
    seen.Add({page, PageCount(1)});
  }
  return "";
}

}  // namespace

absl::Status Domain::EncodeKernel(StateWriter& out, StopCheck stop) const {
  out.Put(kNotesVersion);
  EncodeConfig(spec_, out);
  out.Put(vcpus_);
  out.Put(target_.value());
  out.Put(static_max_.value());
  out.Put(max_pages_.value());
  PfnSet ram;
  uint64_t looks = 0;
  for (Pfn at(0); at < list_->p2m_size();) {
    if (++looks % kLooksPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const P2mRun run = list_->RunAt(at, list_->p2m_size(), P2mView::kResolved,
                                    RunMerge::kByClass);
    if (run.word.Class() == P2mClass::kRam) ram.Add(run.pfns);
    at = run.pfns.end();
  }
  out.Put(ram);
  SIMVISOR_RETURN_IF_ERROR(EncodeList(*list_, out, stop));
  out.Put(free_pages_.set());
  out.Put(remapped_.value());
  out.Put(released_.value());
  out.Put(extra_regions_.size());
  for (const PfnExtent& region : extra_regions_) out.Put(region);
  balloon_.Encode(out);
  driver_.Encode(out);
  if (address_spaces_ != nullptr) address_spaces_->Encode(out);
  // Last, and only if there is one: notes may end before it.
  if (load_ != nullptr) load_->Encode(out);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Domain>> Domain::PlanIncoming(Params params,
                                                             Pfn end,
                                                             FramePool& pool) {
  const Abi& abi = AbiOf(params.spec.arch);
  const uint64_t leaf = abi.leaf_span();
  const Pfn list_end((end.value() + leaf - 1) / leaf * leaf);
  SIMVISOR_ASSIGN_OR_RETURN(std::unique_ptr<P2mWords> words,
                            P2mWords::Create(abi, list_end, params.faults));
  words->Resize(list_end);
  return std::shared_ptr<Domain>(new Domain(
      std::move(params), MemorySetup(), PageCount(0), std::move(words), pool));
}

absl::Status Domain::TakeIn(const PfnSet& pages, ReceivedPages& received,
                            StopCheck stop) {
  for (const auto& [first, end] : pages.extents()) {
    for (Pfn at = first; at < end;) {
      SIMVISOR_RETURN_IF_ERROR(stop());
      const ChangeLock lock(this);
      SIMVISOR_RETURN_IF_ERROR(CheckAlive());
      const PfnExtent next = {at, std::min(end - at, kPlacedAtOnce)};
      const PageCount done =
          pool_.Populate(received.claim, id_, next,
                         [this](Pfn pfn, absl::Span<const MfnExtent> frames) {
                           words_->StoreFrames(pfn, frames);
                         });
      current_ += done;
      at += done;
    }
  }
  received.claim = FrameClaim();
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  // The domain's lock is held while the pages are handed over.
  received.contents.TakeAll(
      [this](uint64_t pfn, PagePtr page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        const P2mWord word = words_->Lookup(Pfn(pfn));
        if (word.Class() != P2mClass::kRam) return;
        contents_.Put(Mfn(word.Number()), std::move(page));
      });
  return absl::OkStatus();
}

absl::Status Domain::AdoptForeignKernel(absl::Span<const uint64_t> leaves,
                                        uint32_t vcpus, StopCheck stop) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(CheckAlive());
  SIMVISOR_ASSIGN_OR_RETURN(
      BuilderList built, BuilderList::OfForeignKernel(*words_, leaves, stop));
  built_.emplace(std::move(built));
  vcpus_ = std::max(vcpus_, vcpus);
  absl::MutexLock affinity_lock(&affinity_mu_);
  affinities_.Grow(vcpus_);
  foreign_kernel_ = true;
  return absl::OkStatus();
}

absl::StatusOr<Domain::PlannedGuest> Domain::PlanGuest(const GuestNotes& notes,
                                                       const PfnSet& received,
                                                       Pfn end,
                                                       LimitsFrom limits,
                                                       StopCheck stop) const {
  Params params = {.id = id_,
                   .spec = spec_,
                   .initial = false,
                   .max_pages = PageCount(0),
                   .affinities = CopyAffinities(),
                   .faults = faults_};
  {
    absl::ReaderMutexLock lock(&mu_);
    SIMVISOR_RETURN_IF_ERROR(CheckAlive());
    params.max_pages = max_pages_;
    params.spec.vcpus = vcpus_;
  }
  StateReader in(notes.bytes, stop);
  const uint64_t version = in.Get("version", kFirstNotesVersion, kNotesVersion);
  DecodeConfig(in, params.spec);
  const auto vcpus = static_cast<uint32_t>(in.Get("vcpus", 1, kMaxVcpus));
  if (vcpus != notes.vcpus.value_or(vcpus)) {
    in.Fail(absl::StrFormat("%d; the image has contexts of %d", vcpus,
                            *notes.vcpus));
  }
  params.spec.vcpus = std::max(params.spec.vcpus, vcpus);
  params.affinities.Grow(params.spec.vcpus);
  const Limits noted = DecodeLimits(in);
  if (limits == LimitsFrom::kNotes) {
    params.spec.memory = noted.target;
    params.spec.max_memory = noted.static_max;
    params.max_pages = noted.max_pages;
  }
  // Pages that the guest ballooned out after they were sent do not come back.
  PlannedGuest planned;
  planned.ram = in.GetSet("ram", end);
  CheckReceived(planned.ram, received, in);
  if (const PageCount ram = planned.ram.size();
      ram != notes.pages.value_or(ram)) {
    in.Fail(absl::StrFormat("%d pages; nr_pages of start_info is %d",
                            ram.value(), notes.pages->value()));
  }
  SIMVISOR_RETURN_IF_ERROR(in.status());
  SIMVISOR_ASSIGN_OR_RETURN(
      ListOverWords list,
      DecodeList(*abi_, params.spec.p2m, WordsOf(params.spec, planned.ram, end),
                 in, faults_));
  planned.guest.reset(new Domain(std::move(params), MemorySetup(), PageCount(0),
                                 std::move(list.words), pool_));
  {
    Domain* const guest = planned.guest.get();
    absl::MutexLock lock(&guest->mu_);
    guest->list_ = std::move(list.list);
  }
  SIMVISOR_RETURN_IF_ERROR(planned.guest->DecodeGuest(
      in, version, notes, noted.target, planned.ram, stop));
  return planned;
}

Domain::Limits Domain::DecodeLimits(StateReader& in) const {
  const uint64_t most = abi_->max_domain_pages().value();
  Limits limits;
  // It may be above static_max: it follows a guest that has more than that.
  limits.target = PageCount(in.Get("target", 1, most));
  limits.static_max = PageCount(in.Get("static_max", 1, most));
  limits.max_pages =
      PageCount(in.Get("max_pages", 1, MaxPagesFor(limits.static_max).value()));
  return limits;
}

absl::Status Domain::GiveFrames(Domain& guest, StopCheck stop) const {
  return CopyFrames(*words_, *guest.words_, stop);
}

void Domain::HandOver(Domain& guest, absl::Span<const Pfn> record_pages,
                      Arrival arrival) {
  const ChangeLock lock(this);
  guest.TakeOver(*this, record_pages);
  if (arrival == Arrival::kHeld) guest.Hold();
  // All that it had is the guest's.
  words_->Fill({Pfn(0), words_->size() - Pfn(0)}, RangeFill::Missing());
  dying_.store(true, std::memory_order_release);
  state_ = DomainState::kDying;
  gave_all_back_.store(true, std::memory_order_release);
}

void Domain::Hold() {
  const ChangeLock lock(this);
  suspended_ = true;
  ++suspensions_;
  handover_ = Handover::kIncoming;
}

void Domain::TakeOver(Domain& incoming, absl::Span<const Pfn> record_pages) {
  const ChangeLock lock(this);
  incoming.current_ = PageCount(0);
  contents_ = std::move(incoming.contents_);
  incoming.contents_.Clear();
  DropKernelPages(record_pages);
}

absl::Status Domain::DecodeGuest(StateReader& in, uint64_t version,
                                 const GuestNotes& notes, PageCount target,
                                 const PfnSet& ram, StopCheck stop) {
  const ChangeLock lock(this);
  current_ = ram.size();
  const Pfn end = list_->p2m_size();
  const PfnSet free = in.GetSet("free", end);
  for (const auto& [first, last] : free.extents()) {
    const PfnExtent pages = ExtentBetween(first, last);
    if (!IsPlainRam(*list_, pages)) {
      in.Fail(
          absl::StrFormat("pfns [0x%x, 0x%x): one is not RAM, or holds the "
                          "p2m list",
                          first.value(), last.value()));
    }
    free_pages_.Return(pages);
  }
  if (const std::string wrong = WrongRecordPage(notes, free); !wrong.empty()) {
    in.Fail(wrong);
  }
  const uint64_t most = abi_->max_domain_pages().value();
  remapped_ = PageCount(in.Get("remapped", most));
  released_ = PageCount(in.Get("released", most));
  DecodeExtraRegions(in);
  DecodeBalloon(in, version, target);
  if (abi_->arch == Arch::kX86_32Pae && in.ok()) {
    MakeAddressSpaces();
    const P2mList& list = *list_;
    address_spaces_->Decode(in, end, [&list, &free](Pfn page) {
      return IsPlainRam(list, {page, PageCount(1)}) && !free.Contains(page);
    });
  }
  if (in.ok() && !in.done()) DecodeLoad(in, free);
  if (in.ok() && !in.done()) in.Fail("more bytes follow; it is the last field");
  SIMVISOR_RETURN_IF_ERROR(in.status());
  SIMVISOR_RETURN_IF_ERROR(CheckLeafPages(notes.leaf_pages, stop));
  state_ = DomainState::kPaused;
  booted_.store(true, std::memory_order_release);
  return CheckPlanned();
}

void Domain::DecodeBalloon(StateReader& in, uint64_t version,
                           PageCount target) {
  const bool first = version == kFirstNotesVersion;
  const P2mList& list = *list_;
  balloon_.Decode(
      in, list_->last_pfn(),
      first ? std::nullopt : std::optional(driver_.batch()),
      [&list](PfnExtent pfns) { return IsOf(list, P2mClass::kMissing, pfns); });
  const BalloonDriver::Restored restored = {
      .pages = current_,
      .target = target,
      .most_pages = abi_->max_domain_pages()};
  if (first) {
    driver_.DecodeLessRoom(in, restored, extra_regions_);
  } else {
    driver_.Decode(in, restored);
  }
  CountBalloon();
}

void Domain::DecodeExtraRegions(StateReader& in) {
  for (uint64_t n = in.GetCount("extra_regions", 2); n > 0 && in.ok(); --n) {
    const Pfn from =
        extra_regions_.empty() ? Pfn(0) : extra_regions_.back().end();
    extra_regions_.push_back(
        in.GetPfns("extra_regions", from, list_->last_pfn()));
  }
  PfnSet all;
  for (const PfnExtent& region : extra_regions_) all.Add(region);
  if (all.extents() != list_->extra_regions().extents()) {
    in.Fail("they are not p2m.extra, which says the same");
  }
}

void Domain::DecodeLoad(StateReader& in, const PfnSet& free) {
  std::optional<GuestLoad> load = GuestLoad::Decode(in, list_->p2m_size());
  if (!load.has_value()) return;
  for (const auto& [first, last] : load->pages().extents()) {
    const PfnExtent pages = ExtentBetween(first, last);
    if (IsPlainRam(*list_, pages) && !HoldsPageTables(pages) &&
        free.CountIn(pages) == PageCount(0)) {
      continue;
    }
    return in.Fail(absl::StrFormat(
        "pfns [0x%x, 0x%x): one is not RAM, is free, or holds the p2m list or "
        "a page table",
        first.value(), last.value()));
  }
  load_ = std::make_shared<GuestLoad>(*std::move(load));
}

absl::Status Domain::CheckLeafPages(absl::Span<const uint64_t> pages,
                                    StopCheck stop) const {
  for (uint64_t leaf = 0; leaf < pages.size(); ++leaf) {
    if (leaf % kLooksPerStop == 0) SIMVISOR_RETURN_IF_ERROR(stop());
    const Pfn noted = list_->shape().LeafPageAt(leaf);
    if (noted == Pfn(pages[leaf])) continue;
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
        absl::StrFormat("save image: the kernel's notes have leaf %d of the "
                        "p2m list in pfn 0x%x; X86_PV_P2M_FRAMES has it in "
                        "pfn 0x%x",
                        leaf, noted.value(), pages[leaf]));
  }
  return absl::OkStatus();
}

absl::Status Domain::CheckPlanned() const {
  // Whatever fields and their checks are: a guest that an audit would find
  // fault with never comes to be.
  std::vector<std::string> findings;
  AuditGuest(findings);
  if (findings.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
      absl::StrCat("save image: the kernel's notes: ", findings.front()));
}

void Domain::DropKernelPages(absl::Span<const Pfn> record_pages) {
  // Their content follows from the kernel's state.
  PfnSet pages;
  for (const Pfn pfn : record_pages) pages.Add({pfn, PageCount(1)});
  structure().ForEach([&](PfnExtent pfns) { pages.Add(pfns); });
  if (address_spaces_ != nullptr) {
    address_spaces_->ForEachPage([&](PfnExtent pfns) { pages.Add(pfns); });
  }
  ZeroPages(pages);
}

}  // namespace simvisor
