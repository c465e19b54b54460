// How domains end, and what keeps a dying one in the table.

#include <utility>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/host/host.h"

namespace simvisor {
namespace {

// Hash tables do not shrink on their own.
template <typename Map>
void ShrinkIfSparse(Map& map) {
  if (map.size() < map.capacity() / 8) map.rehash(0);
}

}  // namespace

absl::StatusOr<PageCount> Host::DestroyDomain(const DomainSelector& selector) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                            Find(selector));
  return DestroyDomain(domain);
}

absl::StatusOr<PageCount> Host::DestroyDomain(
    const std::shared_ptr<Domain>& domain) {
  if (domain->id() == kDom0Id) return Dom0Protected("destroy");
  SIMVISOR_RETURN_IF_ERROR(domain->BeginDestroy({"destroy"}));
  {
    absl::MutexLock lock(&mu_);
    const auto at = domains_.find(domain->id());
    if (at != domains_.end() && at->second.domain == domain) {
      DropName(domain->id(), at->second);
    }
  }
  // Only one caller gets past here; the others get DOMAIN_DYING.
  std::vector<DomainId> gone = {domain->id()};
  SIMVISOR_ASSIGN_OR_RETURN(const PageCount freed,
                            domain->Destroy({"destroy"}, &gone));
  ForgetGone(gone);
  return freed;
}

absl::Status Host::UnmapForeign(const Operation& operation,
                                const DomainSelector& selector,
                                absl::Span<const uint64_t> pfns,
                                ForeignReport& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::shared_ptr<Domain> domain,
                            Find(selector));
  return UnmapForeign(operation, domain, pfns, report);
}

absl::Status Host::UnmapForeign(const Operation& operation,
                                const std::shared_ptr<Domain>& domain,
                                absl::Span<const uint64_t> pfns,
                                ForeignReport& report) {
  std::vector<DomainId> drained;
  const absl::Status status =
      domain->p2m().UnmapForeign(operation, pfns, report, &drained);
  ForgetGone(drained);
  return status;
}

void Host::Abandon(DomainId id) {
  std::shared_ptr<Domain> domain;
  {
    absl::MutexLock lock(&mu_);
    Entry& entry = domains_.at(id);
    EndIncoming(entry);
    domain = entry.domain;
    DropName(id, entry);
    if (domain == nullptr) {
      domains_.erase(id);
      ReturnId(id);
      return;
    }
  }
  std::vector<DomainId> drained;
  // A domain that failed while it was given frames is dying already.
  domain->Destroy({"destroy"}, &drained).IgnoreError();
  ForgetGone(drained);
  std::vector<std::shared_ptr<Domain>> gone;
  absl::MutexLock lock(&mu_);
  // A call that unmapped the last of its frames may have removed it by now.
  const auto at = domains_.find(id);
  const bool there = at != domains_.end() && at->second.domain == domain;
  if (there && !ForgetIfGone(id, gone)) {
    // Other domains have mapped its frames meanwhile.
    Show(at->second);
    return;
  }
  ReturnId(id);
}

void Host::ReturnId(DomainId id) {
  // No caller has been told the id; unless later ids were assigned, the next
  // domain gets it.
  if (last_id_ == id.value() && last_id_ > 0) {
    last_id_ = static_cast<uint16_t>(last_id_ - 1);
  }
}

void Host::DropName(DomainId id, Entry& entry) {
  FreeName(id, entry);
  entry.name.clear();
  stand_ins_.erase(id);
  FreeUuid(id, entry);
  pci_owners_.Release(entry.devices, id);
  entry.devices = {};
  ShrinkIfSparse(names_);
  ShrinkIfSparse(uuids_);
  if (entry.domain != nullptr) entry.domain->Rename("");
}

void Host::ForgetGone(absl::Span<const DomainId> ids) {
  if (ids.empty()) return;
  // Freeing a dead domain's remains may take long: not under the lock.
  std::vector<std::shared_ptr<Domain>> gone;
  absl::MutexLock lock(&mu_);
  for (const DomainId id : ids) ForgetIfGone(id, gone);
}

bool Host::ForgetIfGone(DomainId id,
                        std::vector<std::shared_ptr<Domain>>& gone) {
  const auto at = domains_.find(id);
  if (at == domains_.end()) return true;
  Entry& entry = at->second;
  // A domain that is being built still has its name, and its builder removes
  // it; an entry without a domain is a later one with the same id.
  if (entry.domain == nullptr || !entry.name.empty() ||
      !entry.domain->IsGone()) {
    return false;
  }
  if (entry.visible) --visible_;
  gone.push_back(std::move(entry.domain));
  domains_.erase(at);
  return true;
}

void Host::Show(Entry& entry) {
  entry.visible = true;
  ++visible_;
}

}  // namespace simvisor
