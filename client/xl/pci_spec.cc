#include "client/xl/pci_spec.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace simvisor::client {
namespace {

constexpr absl::string_view kForm =
    "a device is [DDDD:]BB:DD.F, with a function of 0 to 7, or * for all";

// Keys whose values are numbers; any text is valid, since xl uses atoi().
constexpr absl::string_view kFlags[] = {"permissive", "msitranslate", "seize",
                                        "power_mgmt"};

absl::Status Unparsable(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "unable to parse PCI_SPEC_STRING `", text, "' for passthrough: ", why));
}

// A hexadecimal number up to `max`, with any number of digits.
std::optional<uint32_t> ParseHex(absl::string_view text, uint32_t max) {
  uint32_t value = 0;
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(),
                                                   absl::ascii_isxdigit);
  if (!digits || !absl::SimpleHexAtoi(text, &value) || value > max) {
    return std::nullopt;
  }
  return value;
}

// The device that `text` names as DDDD:BB:DD.F; nullopt if it is malformed.
std::optional<std::string> ParseBdf(absl::string_view text) {
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  std::optional<uint32_t> segment = 0;
  if (parts.size() == 3) {
    segment = ParseHex(parts[0], 0xffff);
    parts.erase(parts.begin());
  }
  if (parts.size() != 2 || !segment) return std::nullopt;
  const std::vector<absl::string_view> last = absl::StrSplit(parts[1], '.');
  if (last.size() != 2) return std::nullopt;
  const auto bus = ParseHex(parts[0], 0xff);
  const auto device = ParseHex(last[0], 0x1f);
  if (!bus || !device) return std::nullopt;
  const std::string slot =
      absl::StrFormat("%04x:%02x:%02x.", *segment, *bus, *device);
  if (last[1] == "*") return slot + "*";
  const auto function = ParseHex(last[1], 7);
  if (!function) return std::nullopt;
  return absl::StrCat(slot, *function);
}

// Parses one string, one parameter at a time.
class SpecReader {
 public:
  explicit SpecReader(absl::string_view text) : text_(text) {}

  absl::StatusOr<std::string> Read() {
    std::vector<absl::string_view> pieces = absl::StrSplit(text_, ',');
    // xl accepts a comma at the end.
    if (pieces.size() > 1 &&
        absl::StripAsciiWhitespace(pieces.back()).empty()) {
      pieces.pop_back();
    }
    bool first = true;
    for (const absl::string_view piece : pieces) {
      SIMVISOR_RETURN_IF_ERROR(Take(absl::StripAsciiWhitespace(piece), first));
      first = false;
    }
    if (device_) return *device_;
    return Unparsable(text_, absl::StrCat("it names no device; ", kForm));
  }

 private:
  absl::Status Take(absl::string_view piece, bool first) {
    const size_t equals = piece.find('=');
    if (equals != absl::string_view::npos) {
      return TakeKey(absl::StripAsciiWhitespace(piece.substr(0, equals)),
                     absl::StripAsciiWhitespace(piece.substr(equals + 1)));
    }
    if (first && !piece.empty()) return TakePositional(piece);
    if (first && text_.empty()) return absl::OkStatus();
    return Unparsable(text_,
                      absl::StrCat("'", piece, "' is not KEY=VALUE; ", kForm));
  }

  absl::Status TakePositional(absl::string_view piece) {
    const size_t at = piece.find('@');
    const absl::Status device = TakeDevice(piece.substr(0, at));
    if (!device.ok() || at == absl::string_view::npos) return device;
    return TakeSlot(piece.substr(at + 1));
  }

  absl::Status TakeKey(absl::string_view key, absl::string_view value) {
    if (key == "bdf") return TakeDevice(value);
    if (key == "name") {
      return Unparsable(text_,
                        "name= looks a device up in xl's list of assignable "
                        "devices, which Simvisor does not keep; give its bdf");
    }
    if (std::find(std::begin(kFlags), std::end(kFlags), key) !=
        std::end(kFlags)) {
      return absl::OkStatus();
    }
    if (key == "vslot") return TakeSlot(value);
    if (key != "rdm_policy") {
      return Unparsable(text_,
                        absl::StrCat("Unknown PCI_SPEC_STRING option: ", key));
    }
    if (value.empty() || value == "strict" || value == "relaxed") {
      return absl::OkStatus();
    }
    return Unparsable(text_, absl::StrCat("Unknown RDM policy: ", value));
  }

  absl::Status TakeDevice(absl::string_view bdf) {
    if (device_) {
      return Unparsable(text_,
                        "it names a device twice; name each in a "
                        "string of its own");
    }
    device_ = ParseBdf(bdf);
    if (device_) return absl::OkStatus();
    return Unparsable(
        text_, absl::StrCat("'", bdf, "' is not a PCI address; ", kForm));
  }

  absl::Status TakeSlot(absl::string_view slot) {
    // The default, like the empty value of any key.
    if (slot.empty()) return absl::OkStatus();
    absl::string_view digits = slot;
    if (!absl::ConsumePrefix(&digits, "0x")) absl::ConsumePrefix(&digits, "0X");
    // Slots end at 1f, but the manual's own example has 20.
    if (ParseHex(digits, 0xff)) return absl::OkStatus();
    return Unparsable(text_, absl::StrCat("'", slot,
                                          "' is not a virtual slot, which is "
                                          "a hexadecimal number"));
  }

  const absl::string_view text_;
  std::optional<std::string> device_;
};

}  // namespace

absl::StatusOr<std::string> ParsePciSpec(absl::string_view text) {
  return SpecReader(text).Read();
}

}  // namespace simvisor::client
