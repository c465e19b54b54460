#include "domain/host/spec_check.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "domain/processes/address_space_types.h"
#include "domain/units/size_text.h"

namespace simvisor {
namespace {

constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxPciDevices = 64;
// The name that lists show for a dying domain.
constexpr absl::string_view kNameless = "(null)";

absl::Status NameError(absl::string_view name, absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kNameInvalid,
      absl::StrFormat("domain name \"%s\": %s",
                      Printable(name.substr(0, kMaxNameBytes)), what),
      {{fact::kValue, Printable(name.substr(0, kMaxNameBytes))}});
}

// Whether the character `code` looks blank: a Unicode space, the braille
// pattern without dots, the null notehead.
bool IsBlank(uint32_t code) {
  return IsSpace(code) || code == 0x2800 || code == 0x1d159;
}

// `name`, which is UTF-8, without blank characters.
std::string WithoutBlanks(absl::string_view name) {
  std::string seen;
  while (!name.empty()) {
    const Character next = FirstCharacter(name);
    if (!IsBlank(next.code)) absl::StrAppend(&seen, name.substr(0, next.bytes));
    name.remove_prefix(next.bytes);
  }
  return seen;
}

// People tell domains apart by the visible part of their names, and terminals
// obey characters that people do not see.
absl::Status CheckCharacters(absl::string_view name) {
  if (const auto fault = FindNonUtf8(name)) {
    return NameError(name, absl::StrCat(*fault,
                                        "; names are UTF-8 text, so convert "
                                        "it"));
  }
  absl::string_view rest = name;
  while (!rest.empty()) {
    const Character next = FirstCharacter(rest);
    if (!IsPrintable(next.code)) {
      return NameError(
          name,
          absl::StrFormat("U+%04X is not allowed, nor is any other character "
                          "that controls how text is shown or cannot be seen; "
                          "leave it out",
                          next.code));
    }
    if (next.code == '/') return NameError(name, "'/' is not allowed");
    rest.remove_prefix(next.bytes);
  }
  const std::string seen = WithoutBlanks(name);
  if (seen.empty()) {
    return NameError(name, "it is blank; use characters that can be seen");
  }
  if (seen == kNameless) {
    return NameError(name,
                     "domains without a name are listed like that; choose "
                     "another");
  }
  return absl::OkStatus();
}

absl::Status SizeError(const DomainSpec& spec, PageCount requested,
                       PageCount limit, absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
      absl::StrFormat("create of domain \"%s\": memory of %s, maxmem of %s: %s",
                      spec.name, SizeText(spec.memory),
                      SizeText(spec.max_memory), what),
      {{fact::kOperation, "create"},
       {fact::kDomain, spec.name},
       {fact::kRequested, requested.value()},
       {fact::kLimit, limit.value()},
       {fact::kUnit, "pages"}});
}

absl::Status TooLarge(const DomainSpec& spec, absl::string_view what,
                      uint64_t value, uint64_t limit) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kArgumentTooLarge,
      absl::StrFormat("create of domain \"%s\": %d %s: the limit is %d",
                      spec.name, value, what, limit),
      {{fact::kOperation, "create"},
       {fact::kDomain, spec.name},
       {fact::kRequested, value},
       {fact::kLimit, limit},
       {fact::kUnit, what}});
}

// Of any guest: a saved 64-bit guest notes its value too.
absl::Status CheckKernelSplit(const DomainSpec& spec) {
  constexpr int kMost = kPaeTopEntries - 1;
  const int user_pgds = spec.pae_kernel.user_pgds;
  if (user_pgds >= 1 && user_pgds <= kMost) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed,
      absl::StrFormat(
          "create of domain \"%s\": %d top-level entries for "
          "processes: a PAE kernel leaves them 1 to %d; name one of these",
          spec.name, user_pgds, kMost),
      {{fact::kDomain, spec.name},
       {fact::kValue, user_pgds},
       {fact::kLimit, kMost}});
}

// The first device that is named twice; nullopt if all differ.
std::optional<PciAddress> NamedTwice(const std::vector<PciAddress>& devices) {
  for (size_t i = 0; i < devices.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (devices[i].Overlaps(devices[j])) return devices[i];
    }
  }
  return std::nullopt;
}

absl::Status CheckPciDevices(const DomainSpec& spec) {
  if (spec.pci_devices.size() > kMaxPciDevices) {
    return TooLarge(spec, "PCI devices", spec.pci_devices.size(),
                    kMaxPciDevices);
  }
  if (const auto twice = NamedTwice(spec.pci_devices)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed,
        absl::StrFormat("create of domain \"%s\": PCI device %s is named "
                        "twice; a domain can have a device only once",
                        spec.name, twice->ToString()),
        {{fact::kDomain, spec.name}, {fact::kValue, twice->ToString()}});
  }
  if (!spec.pci_devices.empty() && !spec.e820_host) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed,
        absl::StrFormat("create of domain \"%s\": it has PCI devices but not "
                        "e820_host; a passed-through device needs the host's "
                        "memory map",
                        spec.name),
        {{fact::kDomain, spec.name}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckDomainName(absl::string_view name) {
  if (name.empty()) return NameError(name, "it must not be empty");
  if (name.size() > kMaxNameBytes) {
    return NameError(name, absl::StrFormat("it has %d bytes; at most %d",
                                           name.size(), kMaxNameBytes));
  }
  if (std::all_of(name.begin(), name.end(), absl::ascii_isdigit)) {
    return NameError(name, "only digits would be taken for a domain id");
  }
  if (HasUuidForm(name)) {
    return NameError(name, "it would be taken for a uuid");
  }
  return CheckCharacters(name);
}

absl::Status CheckDomainSpec(const DomainSpec& spec) {
  SIMVISOR_RETURN_IF_ERROR(CheckDomainName(spec.name));
  if (spec.memory == PageCount(0)) {
    return SizeError(spec, spec.memory, PageCount(1), "name at least one page");
  }
  const Abi& abi = AbiOf(spec.arch);
  const PageCount most = abi.max_domain_pages();
  if (std::max(spec.memory, spec.max_memory) > most) {
    return SizeError(
        spec, std::max(spec.memory, spec.max_memory), most,
        absl::StrFormat("a domain of %s has at most %s; ask for less", abi.name,
                        SizeText(most)));
  }
  if (spec.max_memory < spec.memory) {
    return SizeError(spec, spec.max_memory, spec.memory,
                     "maxmem must be at least memory");
  }
  if (spec.vcpus > kMaxVcpus) {
    return TooLarge(spec, "vcpus", spec.vcpus, kMaxVcpus);
  }
  const uint64_t max_hotplug_gib = abi.pfn_limit / kPagesPerGiB;
  if (spec.hotplug_limit_gib > max_hotplug_gib) {
    return TooLarge(
        spec, absl::StrFormat("GiB of memory hotplug limit for %s", abi.name),
        spec.hotplug_limit_gib, max_hotplug_gib);
  }
  SIMVISOR_RETURN_IF_ERROR(CheckKernelSplit(spec));
  return CheckPciDevices(spec);
}

absl::Status CheckGuestMap(const DomainSpec& spec) {
  const Abi& abi = AbiOf(spec.arch);
  const std::vector<PfnExtent> ram = spec.e820.RamPages();
  if (abi.arch != Arch::kX86_32Pae || ram.empty() ||
      ram.back().end() <= Pfn(abi.pfn_limit)) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
      absl::StrFormat(
          "create of domain \"%s\": its memory map has RAM up to "
          "pfn 0x%x: an %s guest manages pfns below 0x%x (%d GiB); "
          "end the RAM there%s",
          spec.name, ram.back().end().value(), abi.name, abi.pfn_limit,
          abi.pfn_limit / kPagesPerGiB,
          spec.e820_host ? ", which with e820_host takes less memory" : ""),
      {{fact::kDomain, spec.name},
       {fact::kValue, Hex(ram.back().end().value())},
       {fact::kLimit, Hex(abi.pfn_limit)}});
}

}  // namespace simvisor
