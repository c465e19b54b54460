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
#include "domain/vm/config_notes.h"
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
  out.Put(vcpus_.count());
  reservation_.Encode(out);
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

absl::Status Domain::TakeIn(const Operation& operation, const PfnSet& pages,
                            ReceivedPages& received) {
  for (const auto& [first, end] : pages.extents()) {
    for (Pfn at = first; at < end;) {
      SIMVISOR_RETURN_IF_ERROR(operation.stop());
      const ChangeLock lock(this);
      SIMVISOR_RETURN_IF_ERROR(Check({id_, operation.name}, Needs::kAlive));
      const PfnExtent next = {at, std::min(end - at, kPlacedAtOnce)};
      const PageCount done =
          pool_.Populate(received.claim, id_, next,
                         [this](Pfn pfn, absl::Span<const MfnExtent> frames) {
                           words_->StoreFrames(pfn, frames);
                         });
      reservation_.Gained(done);
      at += done;
    }
  }
  received.claim = FrameClaim();
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, operation.name}, Needs::kAlive));
  // The domain's lock is held while the pages are handed over.
  received.contents.TakeAll(
      [this](uint64_t pfn, PagePtr page) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        const P2mWord word = words_->Lookup(Pfn(pfn));
        if (word.Class() != P2mClass::kRam) return;
        contents_.Put(Mfn(word.Number()), std::move(page));
      });
  return absl::OkStatus();
}

absl::Status Domain::AdoptForeignKernel(const Operation& operation,
                                        absl::Span<const uint64_t> leaves,
                                        uint32_t vcpus) {
  const ChangeLock lock(this);
  SIMVISOR_RETURN_IF_ERROR(Check({id_, operation.name}, Needs::kAlive));
  SIMVISOR_ASSIGN_OR_RETURN(
      BuilderList built,
      BuilderList::OfForeignKernel(*words_, leaves, operation.stop));
  built_.emplace(std::move(built));
  vcpus_.Grow(vcpus);
  life_.NeverRuns();
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
                   .affinities = vcpus_.CopyAffinities(),
                   .faults = faults_};
  {
    absl::ReaderMutexLock lock(&mu_);
    SIMVISOR_RETURN_IF_ERROR(Check({id_, "restore"}, Needs::kAlive));
    params.max_pages = reservation_.max_pages();
    params.spec.vcpus = vcpus_.count();
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
  const Reservation noted = Reservation::Decode(in, *abi_);
  if (limits == LimitsFrom::kNotes) {
    params.spec.memory = noted.target();
    params.spec.max_memory = noted.static_max();
    params.max_pages = noted.max_pages();
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
      in, version, notes, noted.target(), planned.ram, stop));
  return planned;
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
  life_.BeginDying();
  life_.GaveAllBack();
}

void Domain::Hold() {
  const ChangeLock lock(this);
  life_.ArriveSuspended();
}

void Domain::TakeOver(Domain& incoming, absl::Span<const Pfn> record_pages) {
  const ChangeLock lock(this);
  incoming.reservation_.Lost(incoming.reservation_.current());
  contents_ = std::move(incoming.contents_);
  incoming.contents_.Clear();
  DropKernelPages(record_pages);
}

absl::Status Domain::DecodeGuest(StateReader& in, uint64_t version,
                                 const GuestNotes& notes, PageCount target,
                                 const PfnSet& ram, StopCheck stop) {
  const ChangeLock lock(this);
  reservation_.Gained(ram.size());
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
  life_.ArrivePaused();
  booted_.store(true, std::memory_order_release);
  return CheckPlanned();
}

void Domain::DecodeBalloon(StateReader& in, uint64_t version,
                           PageCount target) {
  const P2mList& list = *list_;
  std::optional<absl::Span<const PfnExtent>> less_room;
  if (version == kFirstNotesVersion) less_room = extra_regions_;
  balloon_.Decode(
      in, list_->last_pfn(),
      {.target = target, .most_pages = abi_->max_domain_pages()}, less_room,
      [&list](PfnExtent pfns) { return IsOf(list, P2mClass::kMissing, pfns); });
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
