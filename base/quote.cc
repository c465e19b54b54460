#include "base/quote.h"

#include <cassert>

#include "absl/strings/str_cat.h"
#include "base/printable.h"

namespace simvisor {
namespace {

constexpr absl::string_view kEllipsis = "...";
constexpr size_t kMaxQuotedBytes = 80;

}  // namespace

std::string Shortened(absl::string_view text, size_t max_bytes) {
  assert(max_bytes >= kEllipsis.size());
  if (text.size() <= max_bytes) return std::string(text);
  size_t end = max_bytes - kEllipsis.size();
  while (end > 0 && IsContinuation(text[end])) --end;
  return absl::StrCat(text.substr(0, end), kEllipsis);
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", Printable(Shortened(text, kMaxQuotedBytes)), "\"");
}

}  // namespace simvisor
