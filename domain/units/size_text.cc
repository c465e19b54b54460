#include "domain/units/size_text.h"

#include <string>

#include "absl/strings/str_format.h"

namespace simvisor {

std::string SizeText(PageCount pages) {
  const uint64_t count = pages.value();
  if (count == 1) return "1 page";
  if (count == 0 || count % kPagesPerMiB != 0) {
    return absl::StrFormat("%d pages", count);
  }
  return absl::StrFormat("%d MiB (%d pages)", count / kPagesPerMiB, count);
}

}  // namespace simvisor
