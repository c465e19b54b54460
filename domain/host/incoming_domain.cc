#include "domain/host/incoming_domain.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/host/spec_check.h"
#include "domain/vm/planned_domain.h"

namespace simvisor {
namespace {

absl::Status CheckEnd(const DomainSpec& spec, Pfn end) {
  const Pfn limit(AbiOf(spec.arch).pfn_limit);
  if (end > Pfn(0) && end <= limit) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
      absl::StrFormat("restore of domain \"%s\": its pfns end at 0x%x; for an "
                      "%s guest they must end at 0x1 to 0x%x",
                      spec.name, end.value(), AbiOf(spec.arch).name,
                      limit.value()),
      {{fact::kDomain, spec.name},
       {fact::kValue, Hex(end.value())},
       {fact::kLimit, Hex(limit.value())}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<IncomingDomain>> IncomingDomain::Create(
    Host& host, DomainSpec spec, Pfn end, PageCount claim,
    const Domain* leaving) {
  SIMVISOR_RETURN_IF_ERROR(CheckEnd(spec, end));
  if (spec.memory == PageCount(0)) spec.memory = end - Pfn(0);
  spec.max_memory = std::max(spec.max_memory, spec.memory);
  const uint32_t vcpus = spec.vcpus;
  spec.vcpus = std::max<uint32_t>(vcpus, 1);
  SIMVISOR_RETURN_IF_ERROR(CheckDomainSpec(spec));
  SIMVISOR_ASSIGN_OR_RETURN(
      VcpuAffinities affinities,
      VcpuAffinities::Create(
          host.cpus_, spec.vcpus,
          absl::StrFormat("restore of domain \"%s\"", spec.name),
          spec.vcpu_affinities));
  spec.vcpu_affinities = {};
  const FrameReach reach = ReachOf(AbiOf(spec.arch));
  absl::StatusOr<FrameClaim> claimed = host.pool_->Claim(claim, reach);
  if (!claimed.ok()) {
    return Within(absl::StrFormat("restore of domain \"%s\": ", spec.name),
                  claimed.status(), {{fact::kDomain, spec.name}});
  }
  SIMVISOR_ASSIGN_OR_RETURN(const DomainId id,
                            host.Reserve(spec, "restore", leaving));
  const PageCount max_pages = MaxPagesFor(spec.memory);
  absl::StatusOr<std::shared_ptr<Domain>> domain =
      PlanIncoming({.id = id,
                    .spec = std::move(spec),
                    .initial = false,
                    .max_pages = max_pages,
                    .affinities = std::move(affinities),
                    .faults = host.faults_,
                    .mmus = &host.mmus_},
                   end, *host.pool_);
  if (!domain.ok()) {
    host.Abandon(id);
    return domain.status();
  }
  const auto promised = std::make_shared<std::atomic<uint64_t>>(claim.value());
  host.Enter(id, *domain, promised);
  return std::unique_ptr<IncomingDomain>(
      new IncomingDomain(host, *std::move(domain), end, vcpus, reach,
                         *std::move(claimed), promised));
}

IncomingDomain::IncomingDomain(Host& host, std::shared_ptr<Domain> domain,
                               Pfn end, uint32_t vcpus, FrameReach reach,
                               FrameClaim claim,
                               std::shared_ptr<std::atomic<uint64_t>> promised)
    : host_(host),
      domain_(std::move(domain)),
      end_(end),
      vcpus_(vcpus),
      reach_(reach),
      received_(*host.pool_, domain_->id()),
      promised_(std::move(promised)) {
  received_.claim = std::move(claim);
}

absl::Status IncomingDomain::Receive(PfnExtent pfns) {
  assert(!placed_);
  const PageCount wanted =
      received_.pages.size() + pfns.count - received_.pages.CountIn(pfns);
  if (wanted > received_.claim.remaining()) {
    const absl::Status more = host_.pool_->Extend(
        received_.claim, wanted - received_.claim.remaining(), reach_);
    if (!more.ok()) {
      return Within(
          absl::StrFormat("restore of domain \"%s\": page %d, at pfn 0x%x: ",
                          domain_->name(), wanted.value(), pfns.first.value()),
          more, {{fact::kDomain, domain_->name()}});
    }
    promised_->store(received_.claim.remaining().value(),
                     std::memory_order_relaxed);
  }
  received_.pages.Add(pfns);
  return absl::OkStatus();
}

absl::Status IncomingDomain::PlaceFrames(StopCheck stop) {
  placed_ = true;
  return domain_->build().TakeIn({"restore", stop}, received_);
}

absl::Status IncomingDomain::WritePage(Pfn pfn, absl::Span<const char> data) {
  assert(placed_ || received_.pages.Contains(pfn));
  if (placed_) {
    return domain_->contents().Write(
        {"write"}, pfn, 0, absl::string_view(data.data(), data.size()));
  }
  return received_.contents.Set(pfn, data);
}

void IncomingDomain::ReadPage(Pfn pfn, absl::Span<char> page) const {
  if (!placed_) {
    received_.contents.Read(pfn, page);
  } else if (!domain_->contents().Read(pfn, 0, page).ok()) {
    std::fill(page.begin(), page.end(), '\0');
  }
}

IncomingDomain::~IncomingDomain() {
  if (!arrived_) host_.Abandon(domain_->id());
}

Mfn IncomingDomain::FrameAt(Pfn pfn) const {
  std::vector<P2mWord> words;
  const uint64_t number = pfn.value();
  if (!domain_->p2m().Translate({&number, 1}, words).ok() ||
      words.front().Class() != P2mClass::kRam) {
    return Mfn::None();
  }
  return Mfn(words.front().Number());
}

absl::StatusOr<std::shared_ptr<Domain>> IncomingDomain::Awaken(
    const GuestNotes& notes, LimitsFrom limits, Arrival arrival,
    StopCheck stop) {
  SIMVISOR_ASSIGN_OR_RETURN(
      NotedGuest noted,
      domain_->build().PlanGuest(notes, received_.pages, end_, stop));
  SIMVISOR_RETURN_IF_ERROR(domain_->build().TakeGuestIn(
      {"restore", stop}, std::move(noted), notes.record_pages, received_,
      limits, arrival));
  host_.ShowArrived(id());
  arrived_ = true;
  return domain_;
}

absl::StatusOr<std::shared_ptr<Domain>> IncomingDomain::AdoptForeignKernel(
    absl::Span<const uint64_t> leaves, uint32_t vcpus, StopCheck stop) {
  assert(placed_);
  SIMVISOR_RETURN_IF_ERROR(
      domain_->build().AdoptForeignKernel({"restore", stop}, leaves, vcpus));
  host_.ShowArrived(id());
  arrived_ = true;
  return domain_;
}

}  // namespace simvisor
