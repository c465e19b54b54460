// Turns a suspended domain into a save image, piece by piece.
//
// Records come in the order of Xen's saver, all pfns once, in batches of at
// most 1024 pfns and about 1 MiB of data. Frames that were never written travel
// as XALLOC, 8 bytes each, which Xen's restorer takes and gives a frame of
// zeros; pages of the p2m list, of page tables and of the record always carry
// data, as their readers insist. Ballooned pfns, identity and holes are XTAB.
// Source: save() in xg_sr_save.c.
//
// Memory: one piece.  Thread safety: one thread at a time.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_SAVER_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_SAVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "domain/domain/domain.h"
#include "domain/domain/suspend_types.h"
#include "domain/image/image_writer.h"
#include "domain/image/stream_format.h"
#include "domain/units/units.h"

namespace simvisor {

class ImageSaver {
 public:
  // `record` is what domain->Suspend() answered; the domain stays suspended
  // until the last piece is made.  `config`, JSON, goes into the xl layer.
  ImageSaver(std::shared_ptr<const Domain> domain, SuspendRecord record,
             ImageLayer layer, std::string config);

  // Appends the next piece, about 1 MiB at most, to `out`: at least one byte
  // unless done().  FAILED_PRECONDITION DOMAIN_DYING if the domain has been
  // destroyed meanwhile.
  absl::Status Next(std::string& out);
  bool done() const { return step_ == Step::kDone; }

  // pfns that have been looked at, of how many.
  PageCount pfns_done() const { return at_ - Pfn(0); }
  PageCount pfns_total() const { return record_.last_pfn - Pfn(0); }
  // Pages that travelled with data.
  PageCount pages_sent() const { return pages_sent_; }

 private:
  enum class Step { kStart, kP2mFrames, kPages, kVcpus, kDone };

  absl::Status AppendLeaves(std::string& out);
  absl::Status AppendBatch(std::string& out);
  absl::Status AddRun(ImageRun run, PageBatch& batch);
  absl::Status AddData(ImageRun run, PageBatch& batch);
  void AddPage(Pfn pfn, PageType type, const Page& page, PageBatch& batch);
  // What stands between the pages and the virtual CPUs.
  void AppendShared(std::string& out) const;
  void AppendVcpus(std::string& out);

  const std::shared_ptr<const Domain> domain_;
  const SuspendRecord record_;
  const Abi& abi_;
  const ImageLayer layer_;
  const std::string config_;
  // Pages of the record, as they are in the image.
  struct MadePage {
    PageType type = PageType::kNormal;
    Page page{};
  };
  absl::btree_map<Pfn, MadePage> made_;
  Step step_ = Step::kStart;
  uint64_t next_leaf_ = 0;
  uint32_t next_vcpu_ = 0;
  Pfn at_;
  PageCount pages_sent_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_SAVER_H_
