// What an ImageReader tells of an image, record by record.
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

// Registers of one virtual CPU that name pages.
struct VcpuPages {
  Pfn start_info;  // vCPU 0
  std::vector<Pfn> gdt;
  Pfn cr3;
  Pfn cr1 = Pfn::None();  // user page tables of a 64-bit guest, if it has any
};

// A status other than OK ends reading, with this status.
class ImageSink {
 public:
  virtual ~ImageSink() = default;

  // The configuration of the xl layer: JSON, by its word.  Comes first.
  virtual absl::Status OnConfig(absl::string_view json) = 0;
  virtual absl::Status OnArch(Arch arch) = 0;
  // Pages of the leaves for pfns 0 to `last` have come: the reader has them.
  virtual absl::Status OnP2mFrames(Pfn last) = 0;
  // Part of a PAGE_DATA record, before the pages of any of it.
  virtual absl::Status OnBatch(absl::Span<const BatchEntry> entries) = 0;
  // kPageSize bytes.  Comes for each entry that carries data, but not behind a
  // VERIFY record, where pages are sent once more to be compared.
  virtual absl::Status OnPage(BatchEntry entry,
                              absl::Span<const char> data) = 0;
  // All has been read, and every rule was kept.
  virtual absl::Status OnEnd(const VcpuPages& boot_vcpu) = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_SINK_H_
