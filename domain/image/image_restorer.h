// Turns a save image into a domain, piece by piece: all or nothing.
//
// An image of a guest of this simulation carries its kernel's notes in its own
// memory, and the domain continues where it was.  Any other PV image gives a
// domain with all its pages, p2m words and page tables, but its kernel is not
// simulated: the domain stays BUILT and cannot run.
//
// Until Finish() returns the domain, no call finds it; if anything fails, the
// destructor leaves nothing behind.  Source: restore() in xg_sr_restore.c.
//
// Memory: the reader's, sets of pfns and the notes, charged to the host's
// budget for images; and the pages' contents, which belong to the domain.
// Contents of pages of the p2m list are not kept: a restorer rewrites these
// pages.
//
// Thread safety: one thread at a time.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_RESTORER_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_RESTORER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/byte_budget.h"
#include "domain/host/incoming_domain.h"
#include "domain/image/guest_pages.h"
#include "domain/image/image_reader.h"
#include "domain/image/image_sink.h"
#include "domain/image/page_table.h"

namespace simvisor {

class ImageRestorer : private ImageSink {
 public:
  // Returns the spec of the domain, given the configuration from the xl layer
  // if the image has one.  The architecture is the image's.
  using SpecSource = std::function<absl::StatusOr<DomainSpec>(
      const std::optional<std::string>& config)>;

  // First claims `claim` pages for the domain.  A guest that arrives held must
  // be one of this simulation (FAILED_PRECONDITION GUEST_KERNEL_UNKNOWN).  For
  // `leaving` see IncomingDomain::Create().
  // `host` must outlive this object.
  ImageRestorer(Host& host, SpecSource spec, LimitsFrom limits,
                PageCount claim = PageCount(0),
                Arrival arrival = Arrival::kPaused,
                std::shared_ptr<const Domain> leaving = nullptr);

  // Reads the next bytes.  Errors as for ImageReader::Feed() and
  // IncomingDomain.
  absl::Status Feed(absl::string_view bytes, StopCheck stop = NeverStop) {
    return reader_.Feed(bytes, stop);
  }
  // Returns the domain, paused or BUILT; call once.  Errors as for Feed(), and
  // IMAGE_TRUNCATED.
  absl::StatusOr<std::shared_ptr<Domain>> Finish(StopCheck stop = NeverStop);

  bool done() const { return reader_.done(); }
  // Whether id, name, uuid and claim are settled; no page comes before that.
  bool admitted() const { return incoming_ != nullptr; }

 private:
  absl::Status OnConfig(absl::string_view json) override;
  absl::Status OnArch(Arch arch) override;
  absl::Status OnP2mFrames(Pfn last) override;
  absl::Status OnBatch(absl::Span<const BatchEntry> entries) override;
  absl::Status OnPage(BatchEntry entry, absl::Span<const char> data) override;
  absl::Status OnEnd(const VcpuPages& boot_vcpu) override;

  // Charges what is held now plus `more` bytes.
  absl::Status Charge(uint64_t more);
  absl::StatusOr<std::shared_ptr<Domain>> Arrive(StopCheck stop);
  absl::Status CheckPlace(const NotesPlace& place) const;
  absl::StatusOr<std::string> ReadNotes(const NotesPlace& place, StopCheck stop,
                                        std::vector<Pfn>& pages);
  // Translates the page tables of a foreign kernel from pfns back to frames.
  absl::Status LocaliseTables(StopCheck stop);
  absl::Status TranslateTables(MapFrame map, StopCheck stop);
  absl::Status TranslateOne(Pfn table, int level, MapFrame map);

  Host& host_;
  const SpecSource spec_;
  const LimitsFrom limits_;
  const PageCount claim_;
  const Arrival arrival_;
  const std::shared_ptr<const Domain> leaving_;
  ByteCharge charge_;
  ImageReader reader_;
  std::optional<std::string> config_;
  Arch arch_ = Arch::kX86_64;
  std::unique_ptr<IncomingDomain> incoming_;
  Pfn end_;
  VcpuPages boot_vcpu_;  // from the last record on
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_RESTORER_H_
