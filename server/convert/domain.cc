#include "server/convert/domain.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "domain/host/host.h"
#include "server/convert/address_space.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/convert/live_migration.h"
#include "server/convert/vcpus.h"

namespace simvisor::server {
namespace {

// The uuid of a request; all zeros, which makes the host choose one, if empty.
absl::StatusOr<Uuid> WantedUuid(absl::string_view text) {
  if (text.empty()) return Uuid{};
  SIMVISOR_ASSIGN_OR_RETURN(const Uuid uuid, ParseUuid("spec.uuid", text));
  if (uuid == Uuid{}) {
    return MakeError(absl::StatusCode::kInvalidArgument, Reason::kUuidInvalid,
                     "spec.uuid: the nil uuid names no domain; leave the field "
                     "empty to have one chosen");
  }
  return uuid;
}

absl::Status ReadMemoryMap(const v1::DomainSpec& spec, DomainSpec& out) {
  switch (spec.memory_map_case()) {
    case v1::DomainSpec::kE820Host:
      if (!spec.e820_host()) {
        return ArgumentMalformed("spec.e820_host",
                                 "must be true if set; leave it out instead");
      }
      out.e820_host = true;
      return absl::OkStatus();
    case v1::DomainSpec::kE820: {
      SIMVISOR_ASSIGN_OR_RETURN(out.e820, FromProto("spec.e820", spec.e820()));
      return absl::OkStatus();
    }
    case v1::DomainSpec::MEMORY_MAP_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::StatusOr<P2mOptions> ReadP2mOptions(const v1::DomainSpec& spec) {
  P2mOptions out;
  switch (spec.tools_view()) {
    case v1::TOOLS_VIEW_UNSPECIFIED:
    case v1::TOOLS_VIEW_TREE:
      break;
    case v1::TOOLS_VIEW_LINEAR:
      out.tools_view = ToolsView::kLinear;
      break;
    default:
      return UnknownValue("spec.tools_view", spec.tools_view(),
                          "TOOLS_VIEW_TREE or TOOLS_VIEW_LINEAR");
  }
  switch (spec.balloon_room()) {
    case v1::BALLOON_ROOM_UNSPECIFIED:
    case v1::BALLOON_ROOM_FAITHFUL:
      break;
    case v1::BALLOON_ROOM_COMPACT:
      out.balloon_room = BalloonRoom::kCompact;
      break;
    default:
      return UnknownValue("spec.balloon_room", spec.balloon_room(),
                          "BALLOON_ROOM_FAITHFUL or BALLOON_ROOM_COMPACT");
  }
  return out;
}

absl::StatusOr<std::vector<PciAddress>> ReadPciDevices(
    const v1::DomainSpec& spec) {
  std::vector<PciAddress> devices;
  for (const std::string& text : spec.pci_devices()) {
    const auto device = PciAddress::Parse(text);
    if (!device) {
      return ArgumentMalformed(
          "spec.pci_devices",
          absl::StrCat(Quoted(text),
                       " is not a PCI device; write it as [DDDD:]BB:DD.F, "
                       "with * for F if it is all functions"));
    }
    devices.push_back(*device);
  }
  return devices;
}

absl::StatusOr<PaeKernel> ReadPaeKernel(const v1::DomainSpec& spec, Arch arch) {
  if (spec.has_pae_kernel() && arch != Arch::kX86_32Pae) {
    return ArgumentMalformed(
        "spec.pae_kernel",
        "only a PAE guest has one; set arch to ARCH_X86_32_PAE or leave it "
        "out");
  }
  return FromProto("spec.pae_kernel", spec.pae_kernel());
}

}  // namespace

absl::StatusOr<DomainSpec> FromProto(const v1::DomainSpec& spec) {
  DomainSpec out;
  out.name = spec.name();
  SIMVISOR_ASSIGN_OR_RETURN(out.uuid, WantedUuid(spec.uuid()));
  SIMVISOR_ASSIGN_OR_RETURN(out.arch, FromProto("spec.arch", spec.arch()));
  out.memory = PageCount(spec.memory_pages());
  out.max_memory = PageCount(spec.max_memory_pages());
  out.vcpus = spec.vcpus() == 0 ? 1 : spec.vcpus();
  SIMVISOR_RETURN_IF_ERROR(ReadMemoryMap(spec, out));
  out.hotplug_limit_gib = spec.memory_hotplug_limit_gib();
  SIMVISOR_ASSIGN_OR_RETURN(out.pci_devices, ReadPciDevices(spec));
  SIMVISOR_ASSIGN_OR_RETURN(out.p2m, ReadP2mOptions(spec));
  SIMVISOR_ASSIGN_OR_RETURN(
      out.vcpu_affinities,
      FromProto("spec.vcpu_affinities", spec.vcpu_affinities()));
  if (spec.has_balloon_max_retry()) {
    out.balloon_max_retry = spec.balloon_max_retry();
  }
  SIMVISOR_ASSIGN_OR_RETURN(out.pae_kernel, ReadPaeKernel(spec, out.arch));
  return out;
}

v1::DomainState ToProto(DomainState state) {
  switch (state) {
    case DomainState::kBuilt:
      return v1::DOMAIN_STATE_BUILT;
    case DomainState::kRunning:
      return v1::DOMAIN_STATE_RUNNING;
    case DomainState::kPaused:
      return v1::DOMAIN_STATE_PAUSED;
    case DomainState::kDying:
      return v1::DOMAIN_STATE_DYING;
  }
  return v1::DOMAIN_STATE_UNSPECIFIED;
}

v1::BalloonState ToProto(BalloonState state) {
  switch (state) {
    case BalloonState::kNone:
      return v1::BALLOON_STATE_UNSPECIFIED;
    case BalloonState::kDone:
      return v1::BALLOON_STATE_DONE;
    case BalloonState::kAgain:
      return v1::BALLOON_STATE_AGAIN;
    case BalloonState::kCancelled:
      return v1::BALLOON_STATE_CANCELLED;
  }
  return v1::BALLOON_STATE_UNSPECIFIED;
}

v1::ToolsView ToProto(ToolsView view) {
  switch (view) {
    case ToolsView::kTree:
      return v1::TOOLS_VIEW_TREE;
    case ToolsView::kLinear:
      return v1::TOOLS_VIEW_LINEAR;
  }
  return v1::TOOLS_VIEW_UNSPECIFIED;
}

v1::BalloonRoom ToProto(BalloonRoom room) {
  switch (room) {
    case BalloonRoom::kFaithful:
      return v1::BALLOON_ROOM_FAITHFUL;
    case BalloonRoom::kCompact:
      return v1::BALLOON_ROOM_COMPACT;
  }
  return v1::BALLOON_ROOM_UNSPECIFIED;
}

v1::BalloonShortfall::Cause ToProto(ShortfallCause cause) {
  switch (cause) {
    case ShortfallCause::kNotRunning:
      return v1::BalloonShortfall::CAUSE_NOT_RUNNING;
    case ShortfallCause::kBalloonEmpty:
      return v1::BalloonShortfall::CAUSE_BALLOON_EMPTY;
    case ShortfallCause::kMoving:
      return v1::BalloonShortfall::CAUSE_MOVING;
    case ShortfallCause::kGuestMemory:
      return v1::BalloonShortfall::CAUSE_GUEST_MEMORY;
    case ShortfallCause::kMaxMem:
      return v1::BalloonShortfall::CAUSE_MAX_MEM;
    case ShortfallCause::kHostFull:
      return v1::BalloonShortfall::CAUSE_HOST_FULL;
    case ShortfallCause::kRetrying:
      return v1::BalloonShortfall::CAUSE_RETRYING;
  }
  return v1::BalloonShortfall::CAUSE_UNSPECIFIED;
}

void ToProto(const BalloonShortfall& shortfall, v1::BalloonShortfall* out) {
  out->set_cause(ToProto(shortfall.cause));
  out->set_missing_pages(shortfall.missing);
  out->set_reachable_pages(shortfall.reachable.value());
  out->set_given_up(shortfall.given_up);
  out->set_retry_seconds(shortfall.retry_seconds);
}

void ToProto(const DomainMemory& memory, v1::DomainMemory* out) {
  out->set_current_pages(memory.current.value());
  out->set_max_pages(memory.max.value());
  out->set_static_max_pages(memory.static_max.value());
  out->set_target_pages(memory.target.value());
  out->set_balloon_pages(memory.balloon.value());
  out->set_available_pages(memory.available.value());
  out->set_p2m_pages(memory.p2m_pages.value());
  out->set_balloon_state(ToProto(memory.balloon_state));
  out->set_foreign_held_pages(memory.foreign_held.value());
  out->set_address_space_pages(memory.address_space_pages.value());
  if (memory.shortfall.has_value()) {
    ToProto(*memory.shortfall, out->mutable_shortfall());
  }
}

void ToProto(const BalloonDriverInfo& driver, v1::BalloonDriver* out) {
  out->set_current_pages(driver.current.value());
  out->set_target_pages(driver.target.value());
  out->set_low_pages(driver.low.value());
  out->set_high_pages(driver.high.value());
  out->set_batch_pages(driver.batch.value());
  out->set_state(ToProto(driver.state));
  out->set_schedule_delay_seconds(driver.schedule_delay);
  out->set_max_schedule_delay_seconds(driver.max_schedule_delay);
  out->set_retry_count(driver.retry_count);
  out->set_max_retry_count(driver.max_retry_count);
  for (const PfnExtent& region : driver.extra_regions) {
    v1::PfnExtent* const extent = out->add_extra_regions();
    extent->set_first_pfn(region.first.value());
    extent->set_count(region.count.value());
  }
}

void ToProto(const MmuTotals& totals, v1::SecondaryMmuTotals* out) {
  out->set_subscriptions(totals.subscriptions);
  out->set_mapped_pages(totals.mapped.value());
  out->set_open_ranges(totals.open_ranges);
  out->set_seq(totals.seq);
  out->set_epoch(totals.epoch);
  out->set_fences(totals.fences);
  out->set_waiting_changes(totals.waiting_changes);
}

void ToProto(Domain& domain, v1::Domain* out) {
  ToProto(domain.Info(), out);
  if (domain.mmus().Find() == nullptr) return;
  ToProto(domain.mmus().Totals(), out->mutable_secondary_mmus());
}

void ToProto(const DomainInfo& info, v1::Domain* out) {
  out->set_domid(info.id.value());
  out->set_name(info.name);
  out->set_uuid(UuidToString(info.uuid));
  out->set_arch(ToProto(info.arch));
  out->set_state(ToProto(info.state));
  out->set_suspended(info.suspended);
  out->set_handover(ToProto(info.handover));
  out->set_vcpus(info.vcpus);
  ToProto(info.memory, out->mutable_memory());
  ToProto(info.e820, out->mutable_e820());
  for (const PciAddress& device : info.pci_devices) {
    out->add_pci_devices(device.ToString());
  }
  out->set_tools_view(ToProto(info.p2m.tools_view));
  out->set_balloon_room(ToProto(info.p2m.balloon_room));
  if (info.balloon_driver.has_value()) {
    ToProto(*info.balloon_driver, out->mutable_balloon_driver());
  }
  out->set_memory_hotplug_limit_gib(info.hotplug_limit_gib);
  if (info.arch == Arch::kX86_32Pae) {
    ToProto(info.pae_kernel, out->mutable_pae_kernel());
  }
}

void ToProto(const IncomingInfo& info, v1::IncomingDomain* out) {
  out->set_domid(info.id.value());
  out->set_name(info.name);
  out->set_uuid(UuidToString(info.uuid));
  out->set_claimed_pages(info.claimed.value());
}

}  // namespace simvisor::server
