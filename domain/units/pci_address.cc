#include "domain/units/pci_address.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace simvisor {
namespace {

constexpr uint8_t kAllFunctions = 0xff;

// The value of `digits` hexadecimal digits; nullopt for other text or a value
// above `max`.
std::optional<uint32_t> ParseHex(absl::string_view text, size_t digits,
                                 uint32_t max) {
  uint32_t value = 0;
  if (text.size() != digits) return std::nullopt;
  for (const char c : text) {
    if (!absl::ascii_isxdigit(c)) return std::nullopt;
    value =
        value * 16 +
        (absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10);
  }
  if (value > max) return std::nullopt;
  return value;
}

// The bits of the functions that `text` names; nullopt if it is malformed.
std::optional<uint8_t> ParseFunctions(absl::string_view text) {
  if (text == "*") return kAllFunctions;
  const auto function = ParseHex(text, 1, PciAddress::kFunctions - 1);
  if (!function) return std::nullopt;
  return static_cast<uint8_t>(1u << *function);
}

}  // namespace

std::optional<PciAddress> PciAddress::Parse(absl::string_view text) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  std::optional<uint32_t> segment = 0;
  if (parts.size() == 3) {
    segment = ParseHex(parts[0], 4, 0xffff);
    parts.erase(parts.begin());
  }
  if (parts.size() != 2 || !segment) return std::nullopt;
  const std::vector<absl::string_view> last = absl::StrSplit(parts[1], '.');
  if (last.size() != 2) return std::nullopt;
  const auto bus = ParseHex(parts[0], 2, 0xff);
  const auto device = ParseHex(last[0], 2, 0x1f);
  const auto functions = ParseFunctions(last[1]);
  if (!bus || !device || !functions) return std::nullopt;
  return PciAddress(*segment << 13 | *bus << 5 | *device, *functions);
}

std::string PciAddress::ToString() const {
  std::string text = absl::StrFormat("%04x:%02x:%02x.", slot_ >> 13,
                                     slot_ >> 5 & 0xff, slot_ & 0x1f);
  if (functions_ == kAllFunctions) return text + "*";
  for (int function = 0; function < kFunctions; ++function) {
    if (Has(function)) text += static_cast<char>('0' + function);
  }
  return text;
}

}  // namespace simvisor
