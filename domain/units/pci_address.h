// Where PCI devices sit on the machine: segment, bus, device and function.
//
// Thread safety: a value.

#ifndef SIMVISOR_DOMAIN_UNITS_PCI_ADDRESS_H_
#define SIMVISOR_DOMAIN_UNITS_PCI_ADDRESS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace simvisor {

// A function of a device, or all its functions.
class PciAddress {
 public:
  static constexpr int kFunctions = 8;  // of a device

  // [DDDD:]BB:DD.F in hexadecimal, each part with as many digits as there are
  // letters; segment 0 without DDDD, all functions with * for F.  nullopt for
  // other text.
  static std::optional<PciAddress> Parse(absl::string_view text);

  // "0000:01:00.0" or "0000:01:00.*".
  std::string ToString() const;

  // Whether the two have a function in common.
  bool Overlaps(const PciAddress& other) const {
    return slot_ == other.slot_ && (functions_ & other.functions_) != 0;
  }
  bool Has(int function) const { return ((functions_ >> function) & 1) != 0; }
  // Number of `function` of this device among all functions of the machine.
  uint32_t FunctionNumber(int function) const {
    return slot_ << 3 | static_cast<uint32_t>(function);
  }

 private:
  PciAddress(uint32_t slot, uint8_t functions)
      : slot_(slot), functions_(functions) {}

  uint32_t slot_;      // segment << 13 | bus << 5 | device
  uint8_t functions_;  // a bit for each
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_PCI_ADDRESS_H_
