#include "server/quote.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace simvisor::server {
namespace {

constexpr absl::string_view kEllipsis = "...";
constexpr size_t kMaxQuotedBytes = 80;

// True for the second and later bytes of a UTF-8 character.
bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with
// none that is complete.
size_t CharacterSize(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t size = lead < 0x80   ? 1
                      : lead < 0xc0 ? 0
                      : lead < 0xe0 ? 2
                      : lead < 0xf0 ? 3
                                    : 4;
  if (size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return 0;
  }
  return size;
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    if (size == 0 || absl::ascii_iscntrl(text.front())) {
      absl::StrAppendFormat(&out, "\\x%02x",
                            static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
    } else {
      absl::StrAppend(&out, text.substr(0, size));
      text.remove_prefix(size);
    }
  }
  return out;
}

std::string Shortened(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  size_t end = max_bytes - kEllipsis.size();
  while (end > 0 && IsContinuation(text[end])) --end;
  return absl::StrCat(text.substr(0, end), kEllipsis);
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", Printable(Shortened(text, kMaxQuotedBytes)), "\"");
}

}  // namespace simvisor::server
