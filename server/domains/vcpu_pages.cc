#include "server/domains/vcpu_pages.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"
#include "server/convert/vcpus.h"
#include "server/domains/domain_pages.h"

namespace simvisor::server {
namespace {

// Virtual CPUs asked for at a time: with the largest masks, 4 MiB of ranges.
constexpr size_t kBatch = 64;

absl::StatusOr<uint32_t> FirstVcpuOfPage(const std::string& token) {
  uint32_t vcpu = 0;
  if (token.empty() || absl::SimpleAtoi(token, &vcpu)) return vcpu;
  return BadPageToken(token);
}

}  // namespace

absl::Status FillVcpuPage(Domain& domain, const v1::ListVcpusRequest& request,
                          StopCheck stop, v1::ListVcpusResponse* response) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("page_size", request.page_size(), kMaxPageSize));
  SIMVISOR_ASSIGN_OR_RETURN(uint32_t next,
                            FirstVcpuOfPage(request.page_token()));
  const size_t page_size =
      request.page_size() == 0 ? kMaxPageSize : request.page_size();

  size_t bytes = 0;
  for (size_t left = page_size;;) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    // The one after the page tells whether another page follows.
    const size_t asked = std::min(kBatch, left + 1);
    SIMVISOR_ASSIGN_OR_RETURN(const std::vector<VcpuInfo> vcpus,
                              domain.vcpus().List(next, asked));
    for (const VcpuInfo& info : vcpus) {
      if (left == 0 || bytes >= kMaxPageBytes) {
        response->set_next_page_token(absl::StrCat(info.vcpu));
        return absl::OkStatus();
      }
      v1::Vcpu* const vcpu = response->add_vcpus();
      ToProto(info, vcpu);
      bytes += vcpu->ByteSizeLong();
      --left;
      next = info.vcpu + 1;
    }
    if (vcpus.size() < asked) return absl::OkStatus();
  }
}

}  // namespace simvisor::server
