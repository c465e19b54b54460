// What an ImageReader reports about an image, record by record.
//
// Thread safety: calls come from the thread that feeds the reader.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_SINK_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_SINK_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/image/stream_format.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

struct BatchEntry {
  Pfn pfn;
  PageType type = PageType::kNormal;
};

// The registers of a virtual CPU that name pages.
struct VcpuPages {
  Pfn start_info;  // of vCPU 0
  std::vector<Pfn> gdt;
  Pfn cr3;
  Pfn cr1 = Pfn::None();  // user page tables of a 64-bit guest, if any
};

// A status other than OK ends reading with that status.
class ImageSink {
 public:
  virtual ~ImageSink() = default;

  // The configuration of the xl layer, which calls itself JSON.  Comes first.
  virtual absl::Status OnConfig(absl::string_view json) = 0;
  virtual absl::Status OnArch(Arch arch) = 0;
  // The leaf pages for pfns 0 to `last` have come; the reader has them.
  virtual absl::Status OnP2mFrames(Pfn last) = 0;
  // Part of a PAGE_DATA record; comes before the contents of its pages.
  virtual absl::Status OnBatch(absl::Span<const BatchEntry> entries) = 0;
  // A page of kPageSize bytes.  Called for each entry that carries data, except
  // after a VERIFY record, where pages are sent again for comparison.
  virtual absl::Status OnPage(BatchEntry entry,
                              absl::Span<const char> data) = 0;
  // The whole image has been read and follows all rules.
  virtual absl::Status OnEnd(const VcpuPages& boot_vcpu) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_SINK_H_
