#include "server/size.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/quote.h"
#include "base/size.h"
#include "base/status_macros.h"

namespace simvisor::server {

absl::StatusOr<PageCount> ParsePages(absl::string_view text) {
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t bytes, ParseSize(text));
  if (bytes % kPageSize == 0) return PageCount(bytes / kPageSize);
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kArgumentMalformed,
      absl::StrCat("size ", Quoted(text),
                   ": not a whole number of 4 KiB pages; round to a multiple "
                   "of 4k"),
      {{fact::kValue, text}});
}

}  // namespace simvisor::server
