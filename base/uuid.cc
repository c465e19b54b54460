#include "base/uuid.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/quote.h"

namespace simvisor {
namespace {

// '-' stands for a dash, 'x' for a digit.
constexpr absl::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

}  // namespace

bool HasUuidForm(absl::string_view text) {
  if (text.size() != kForm.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool fits =
        kForm[i] == '-' ? text[i] == '-' : absl::ascii_isxdigit(text[i]);
    if (!fits) return false;
  }
  return true;
}

absl::StatusOr<Uuid> ParseUuid(absl::string_view field,
                               absl::string_view text) {
  if (!HasUuidForm(text)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kUuidInvalid,
        absl::StrCat(field, ": ", Quoted(text),
                     " is not a uuid; write 8-4-4-4-12 hexadecimal digits"),
        {{fact::kField, field}, {fact::kValue, text}});
  }
  std::string digits;
  for (char c : text) {
    if (c != '-') digits.push_back(c);
  }
  const std::string bytes = absl::HexStringToBytes(digits);
  Uuid uuid{};
  for (size_t i = 0; i < uuid.size(); ++i) {
    uuid[i] = static_cast<uint8_t>(bytes[i]);
  }
  return uuid;
}

std::string UuidToString(const Uuid& uuid) {
  constexpr absl::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[uuid[i] >> 4];
    text += kDigits[uuid[i] & 0xf];
  }
  return text;
}

}  // namespace simvisor
