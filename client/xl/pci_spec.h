// PCI_SPEC_STRING of xl-pci-configuration(5):
//
//   [DDDD:]BB:DD.F[@VSLOT][,KEY=VALUE,...]
//   bdf=[DDDD:]BB:DD.F[,KEY=VALUE,...]
//
// with * for F if it is all functions of the device.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_PCI_SPEC_H_
#define SIMVISOR_CLIENT_XL_PCI_SPEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// The device, as DDDD:BB:DD.F.  What else the string says is about how it is
// handed over and where the guest sees it, and is checked only.
//
// INVALID_ARGUMENT with xl's message, and why, for what xl would not take: an
// address out of its bounds, an unknown key, a device named twice or not at
// all.  Also for name=: Simvisor does not keep xl's list of assignable devices.
// Source: xlu_pci_parse_spec_string().
absl::StatusOr<std::string> ParsePciSpec(absl::string_view text);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_PCI_SPEC_H_
