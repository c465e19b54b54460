// PCI_SPEC_STRING of xl-pci-configuration(5):
//
//   [DDDD:]BB:DD.F[@VSLOT][,KEY=VALUE,...]
//   bdf=[DDDD:]BB:DD.F[,KEY=VALUE,...]
//
// where * for F means all functions of the device.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_PCI_SPEC_H_
#define SIMVISOR_CLIENT_XL_PCI_SPEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// Returns the device as DDDD:BB:DD.F.  The rest of the string says how the
// device is handed over and where the guest sees it; it is only checked.
//
// INVALID_ARGUMENT with xl's message, and the reason, for text that xl refuses:
// an address out of range, an unknown key, a device named twice or not at all.
// Also for name=, because Simvisor does not keep xl's list of assignable
// devices.  Source: xlu_pci_parse_spec_string().
absl::StatusOr<std::string> ParsePciSpec(absl::string_view text);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_PCI_SPEC_H_
