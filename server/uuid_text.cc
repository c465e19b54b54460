#include "server/uuid_text.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "domain/units/error.h"
#include "server/quote.h"

namespace simvisor::server {
namespace {

// A '-' marks a dash, an 'x' a digit.
constexpr absl::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

bool HasForm(absl::string_view text) {
  if (text.size() != kForm.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool fits =
        kForm[i] == '-' ? text[i] == '-' : absl::ascii_isxdigit(text[i]);
    if (!fits) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Uuid> ParseUuid(absl::string_view field,
                               absl::string_view text) {
  if (!HasForm(text)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kUuidInvalid,
        absl::StrCat(field, ": ", Quoted(text),
                     " is no uuid; write 8-4-4-4-12 hexadecimal digits"));
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

}  // namespace simvisor::server
