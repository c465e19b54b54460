#include "base/quote.h"

#include "absl/strings/str_cat.h"
#include "base/printable.h"

namespace simvisor {
namespace {

constexpr absl::string_view kEllipsis = "...";
constexpr size_t kMaxQuotedBytes = 80;

// True for every byte of a UTF-8 character after its first.
bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string Shortened(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  size_t end = max_bytes - kEllipsis.size();
  while (end > 0 && IsContinuation(text[end])) --end;
  return absl::StrCat(text.substr(0, end), kEllipsis);
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", Printable(Shortened(text, kMaxQuotedBytes)), "\"");
}

}  // namespace simvisor
