// Turns a domain into a save image, piece by piece.
//
// Records come in the order of Xen's saver, pfns in batches of at most 1024 and
// about 1 MiB of data.  Frames that were never written are sent as XALLOC, 8
// bytes each, and Xen's restorer allocates a frame of zeros for them; pages of
// the p2m list, of page tables and of the record always carry data, because
// readers require it.  Ballooned pfns, identity and holes are XTAB.
//
// A suspended guest is sent in one pass.  A running guest is sent in as many
// passes as the caller likes, each of the pages that its dirty log reported,
// and a last one when it is suspended.  A page that was sent with data and is
// now empty is sent as zeros, since a restorer keeps the old content at an
// XALLOC.  A page table whose entries cannot be turned into pfns while the
// guest runs is deferred to the next pass.  Source: save() in xg_sr_save.c,
// normalise_page() in xg_sr_save_x86_pv.c.
//
// Memory: one piece, and for a running guest the extents of what was sent with
// data.
//
// Thread safety: one thread at a time.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_SAVER_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_SAVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "domain/collections/extent_set.h"
#include "domain/guest/suspend_record.h"
#include "domain/image/image_writer.h"
#include "domain/image/stream_format.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"
#include "domain/vm/suspend_types.h"

namespace simvisor {

class ImageSaver {
 public:
  // Saves a suspended guest.  `record` is the result of
  // domain->migration().Suspend(), and the guest stays suspended until the last
  // piece is made.  `config`, JSON, goes into the xl layer.
  ImageSaver(std::shared_ptr<Domain> domain, SuspendRecord record,
             ImageLayer layer, std::string config);
  // Saves a running guest whose dirty log is on.  `guest` is the result of
  // domain->migration().StartLogDirty().  The first pass covers all pfns.
  ImageSaver(std::shared_ptr<Domain> domain, const LiveGuest& guest,
             ImageLayer layer, std::string config);

  // Appends the next piece, about 1 MiB at most, to `out`: at least one byte
  // unless done() or pass_done().  The work for a piece is bounded: 65536
  // leaves, 128 virtual CPUs, or a batch of 1024 pfns, read 128 runs at a time.
  // FAILED_PRECONDITION DOMAIN_DYING if the domain has been destroyed
  // meanwhile; the status of `stop`, which is called before each piece;
  // INTERNAL if the domain's list no longer agrees with the record.
  absl::Status Next(std::string& out, StopCheck stop = NeverStop);
  bool done() const { return step_ == Step::kDone; }
  // Whether Next() has made everything before the pages.
  bool head_done() const { return step_ > Step::kP2mFrames; }

  // Whether all pages of this pass are sent; only for a running guest.
  bool pass_done() const { return step_ == Step::kPassDone; }
  // Starts another pass.
  // REQUIRES: pass_done().
  void StartPass(PfnSet dirty);
  // Starts the last pass, of a guest that is now suspended.
  // REQUIRES: pass_done(); `record` and `guest` have the same last_pfn.
  void StartLastPass(SuspendRecord record, PfnSet dirty);

  // How many pfns of this pass are done, and how many it has.
  PageCount pfns_done() const { return pass_pfns_ - todo_.size(); }
  PageCount pfns_total() const { return pass_pfns_; }
  // Pages sent with data, in all passes.
  PageCount pages_sent() const { return pages_sent_; }

 private:
  enum class Step { kStart, kP2mFrames, kPages, kPassDone, kVcpus, kDone };

  void MakeRecordPages();
  absl::Status AppendLeaves(std::string& out);
  absl::Status AppendBatch(std::string& out);
  absl::Status AddRun(ImageRun run, PageBatch& batch);
  absl::Status AddData(ImageRun run, PageBatch& batch);
  // Adds pages of zeros.
  void AddZeros(PfnExtent pfns, PageBatch& batch);
  void AddPage(Pfn pfn, PageType type, const Page& page, PageBatch& batch);
  // Appends the records between the pages and the virtual CPUs.
  void AppendShared(std::string& out) const;
  void AppendVcpus(std::string& out);

  const std::shared_ptr<Domain> domain_;
  const Abi& abi_;
  const Pfn last_pfn_;
  const ImageLayer layer_;
  const std::string config_;
  const bool live_;
  std::optional<SuspendRecord> record_;  // set once the guest is suspended
  // Pages of the record, as the image has them.
  struct MadePage {
    PageType type = PageType::kNormal;
    Page page{};
  };
  absl::btree_map<Pfn, MadePage> made_;
  Step step_ = Step::kStart;
  uint64_t next_leaf_ = 0;
  uint32_t next_vcpu_ = 0;
  PfnSet todo_;  // pfns of this pass
  PageCount pass_pfns_;
  // For a running guest: pages that were sent with data, and page tables that
  // were deferred.
  PfnSet sent_data_;
  PfnSet deferred_;
  PageCount pages_sent_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_SAVER_H_
