// How domains get their ids, names and uuids, and what keeps them apart.

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/host/host.h"
#include "domain/host/spec_check.h"
#include "domain/units/domain_identity.h"

namespace simvisor {
namespace {

// xl's names for the two copies of a domain that moves.
constexpr absl::string_view kIncomingSuffix = "--incoming";
constexpr absl::string_view kMigratedAwaySuffix = "--migratedaway";

}  // namespace

std::string Host::TextOf(DomainId id) const {
  const auto at = domains_.find(id);
  return DomainText(at == domains_.end() ? "" : at->second.name, id);
}

bool Host::IsOf(const Domain& domain, const DomainSpec& spec) const {
  const auto at = domains_.find(domain.id());
  return at != domains_.end() && at->second.domain.get() == &domain &&
         at->second.name == spec.name && at->second.uuid == spec.uuid;
}

absl::StatusOr<DomainId> Host::Reserve(DomainSpec& spec,
                                       absl::string_view operation,
                                       const Domain* leaving) {
  absl::MutexLock lock(&mu_);
  const bool stands_in = leaving != nullptr && IsOf(*leaving, spec);
  const std::string last_name = spec.name;
  if (stands_in) absl::StrAppend(&spec.name, kIncomingSuffix);
  if (names_.contains(spec.name)) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, Reason::kNameInUse,
        absl::StrFormat("%s of domain \"%s\": domain %d has that name; "
                        "choose another or destroy that one",
                        operation, spec.name, names_.at(spec.name).value()),
        {{fact::kOperation, operation},
         {fact::kValue, spec.name},
         {fact::kDomid, names_.at(spec.name).value()}});
  }
  if (spec.uuid == Uuid{}) {
    spec.uuid = NewUuid();
  } else if (!stands_in && uuids_.contains(spec.uuid)) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, Reason::kUuidInUse,
        absl::StrFormat("%s of domain \"%s\": %s has uuid %s; leave the uuid "
                        "out to get a new one",
                        operation, spec.name, TextOf(uuids_.at(spec.uuid)),
                        UuidToString(spec.uuid)),
        {{fact::kOperation, operation},
         {fact::kValue, UuidToString(spec.uuid)},
         {fact::kDomid, uuids_.at(spec.uuid).value()}});
  }
  if (const auto owned = pci_owners_.FindOwned(spec.pci_devices)) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kPciDeviceInUse,
        absl::StrFormat(
            "%s of domain \"%s\": PCI device %s: %s has it; destroy "
            "that one, or leave the device out",
            operation, spec.name, owned->device.ToString(),
            TextOf(owned->owner)),
        {{fact::kOperation, operation},
         {fact::kValue, owned->device.ToString()},
         {fact::kDomid, owned->owner.value()}});
  }
  SIMVISOR_ASSIGN_OR_RETURN(const DomainId id, NextId());
  Entry& entry = domains_[id];
  entry.name = spec.name;
  entry.uuid = spec.uuid;
  entry.devices = spec.pci_devices;
  names_[spec.name] = id;
  if (stands_in) {
    stand_ins_[id] = {leaving->id(), last_name};
  } else {
    uuids_[spec.uuid] = id;
  }
  pci_owners_.Assign(spec.pci_devices, id);
  return id;
}

void Host::TakeOver(const Domain& arrived) {
  absl::MutexLock lock(&mu_);
  const auto stand_in = stand_ins_.find(arrived.id());
  if (stand_in == stand_ins_.end()) return;
  const StandIn& was = stand_in->second;
  Entry& entry = domains_.at(arrived.id());
  const auto left = domains_.find(was.leaving);
  if (left != domains_.end() && left->second.uuid == entry.uuid &&
      left->second.name == was.name) {
    SetName(was.leaving, left->second,
            absl::StrCat(was.name, kMigratedAwaySuffix));
  }
  DomainId& owner = uuids_.try_emplace(entry.uuid, arrived.id()).first->second;
  if (owner == was.leaving) owner = arrived.id();
  if (!names_.contains(was.name)) SetName(arrived.id(), entry, was.name);
  stand_ins_.erase(stand_in);
}

void Host::SetName(DomainId id, Entry& entry, absl::string_view name) {
  if (entry.name == name) return;
  // Everything that allocates comes first.
  std::string for_entry(name);
  std::string for_domain(name);
  // If another domain has the name, this one is not found by it.
  names_.try_emplace(for_entry, id);
  FreeName(id, entry);
  entry.name = std::move(for_entry);
  entry.domain->Rename(std::move(for_domain));
}

void Host::FreeName(DomainId id, const Entry& entry) {
  const auto at = names_.find(entry.name);
  if (at != names_.end() && at->second == id) names_.erase(at);
}

void Host::FreeUuid(DomainId id, const Entry& entry) {
  // A later domain may have the uuid of a dying one.
  const auto at = uuids_.find(entry.uuid);
  if (at == uuids_.end() || at->second != id) return;
  for (const auto& [stand_in, was] : stand_ins_) {
    if (was.leaving == id) {
      at->second = stand_in;
      return;
    }
  }
  uuids_.erase(at);
}

absl::StatusOr<DomainId> Host::NextId() {
  for (int tries = 0; tries < kFirstReservedDomainId; ++tries) {
    ++last_id_;
    if (last_id_ >= kFirstReservedDomainId) last_id_ = 1;
    if (!domains_.contains(DomainId(last_id_))) return DomainId(last_id_);
  }
  return MakeError(
      absl::StatusCode::kResourceExhausted, Reason::kDomainIdsExhausted,
      absl::StrFormat("create: all %d domain ids are taken; "
                      "destroy a domain",
                      kFirstReservedDomainId - 1),
      {{fact::kLimit, kFirstReservedDomainId - 1}, {fact::kUnit, "domains"}});
}

Uuid Host::NewUuid() {
  Uuid uuid;
  do {
    for (size_t i = 0; i < uuid.size(); i += 8) {
      const uint64_t bits = random_();
      for (size_t j = 0; j < 8; ++j) {
        uuid[i + j] = static_cast<uint8_t>(bits >> (8 * j));
      }
    }
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);  // version 4
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);  // RFC 4122
  } while (uuids_.contains(uuid));
  return uuid;
}

absl::StatusOr<std::shared_ptr<Domain>> Host::RenameDomain(
    const DomainSelector& selector, absl::string_view name) {
  SIMVISOR_RETURN_IF_ERROR(CheckDomainName(name));
  absl::MutexLock lock(&mu_);
  SIMVISOR_ASSIGN_OR_RETURN(const DomainId id, FindId(selector));
  if (id == kDom0Id) return Dom0Protected("rename");
  Entry& entry = domains_.at(id);
  if (entry.name.empty()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kDomainDying,
        absl::StrFormat("rename of domain %d: it is dying", id.value()),
        {{fact::kOperation, "rename"}, {fact::kDomid, id.value()}});
  }
  auto taken = names_.find(name);
  if (taken != names_.end() && taken->second != id) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, Reason::kNameInUse,
        absl::StrFormat("rename of %s to \"%s\": domain %d has that name; "
                        "choose another",
                        TextOf(id), name, taken->second.value()),
        {{fact::kOperation, "rename"},
         {fact::kValue, name},
         {fact::kDomid, taken->second.value()}});
  }
  SetName(id, entry, name);
  return entry.domain;
}

}  // namespace simvisor
