// Addresses of PCI devices: segment, bus, device and function.
//
// Thread safety: a value.

#ifndef SIMVISOR_DOMAIN_UNITS_PCI_ADDRESS_H_
#define SIMVISOR_DOMAIN_UNITS_PCI_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// One function of a device, or all its functions.
class PciAddress {
 public:
  static constexpr int kFunctions = 8;  // per device

  // Parses [DDDD:]BB:DD.F in hexadecimal, with as many digits as letters.
  // Without DDDD the segment is 0; * for F means all functions.  nullopt for
  // other text.
  static std::optional<PciAddress> Parse(absl::string_view text);

  // "0000:01:00.0" or "0000:01:00.*".
  std::string ToString() const;

  // Whether the two share a function.
  bool Overlaps(const PciAddress& other) const {
    return slot_ == other.slot_ && (functions_ & other.functions_) != 0;
  }
  bool Has(int function) const { return ((functions_ >> function) & 1) != 0; }
  // The number of `function` of this device among all functions of the machine.
  uint32_t FunctionNumber(int function) const {
    return slot_ << 3 | static_cast<uint32_t>(function);
  }

 private:
  PciAddress(uint32_t slot, uint8_t functions)
      : slot_(slot), functions_(functions) {}

  uint32_t slot_;      // segment << 13 | bus << 5 | device
  uint8_t functions_;  // one bit per function
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_PCI_ADDRESS_H_
