// Appends the records of a save image to a string.
//
// The caller chooses the records, their contents and their order; ImageSaver
// keeps Xen's order.  Padding and reserved fields are 0.  Source: xg_sr_save.c,
// xg_sr_save_x86_pv.c, libxl_stream_write.c.
//
// Thread safety: pure functions; PageBatch is thread-compatible.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_WRITER_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/image/stream_format.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

// Everything up to the first record of the libxc stream.  `config`, JSON, goes
// only into the xl layer.
void AppendImageStart(ImageLayer layer, absl::string_view config,
                      std::string& out);
// The END of the libxc stream, and the ends of its layers.
void AppendImageEnd(ImageLayer layer, std::string& out);

// A record of any type.
// REQUIRES: `body` has at most kMaxRecordBytes.
void AppendRecord(RecordType type, absl::string_view body, std::string& out);

void AppendPvInfo(Arch arch, std::string& out);
// The head of the record for pfns 0 to `last`; the pages of last /
// words_per_page + 1 leaves must follow, by AppendPfns().
void AppendP2mFramesHead(const Abi& abi, Pfn last, std::string& out);
void AppendPfns(absl::Span<const Pfn> pfns, std::string& out);
void AppendTscInfo(std::string& out);
// A record of one virtual CPU: its id, then `blob`.
void AppendVcpu(RecordType type, uint32_t vcpu, absl::string_view blob,
                std::string& out);

// A PAGE_DATA record under construction.
class PageBatch {
 public:
  // `data` has kPageSize bytes if CarriesData(type), else it is empty.
  // REQUIRES: !full().
  void Add(Pfn pfn, PageType type, absl::string_view data);
  // Adds pages without data.
  // REQUIRES: there is room for them.
  void AddEmpty(PfnExtent pfns, PageType type);

  bool empty() const { return words_.empty(); }
  bool full() const { return size() == kBatchPages; }
  size_t size() const { return words_.size() / 8; }
  // Appends the record and starts the next one.
  // REQUIRES: !empty().
  void AppendTo(std::string& out);

 private:
  void AddWord(Pfn pfn, PageType type);

  std::string words_;  // 8 bytes each
  std::string data_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_WRITER_H_
