// A domain on its way into a host, out of an image.
//
// Takes id, name and uuid like a domain that is being built, and promises of
// frames as pages come; no call finds it, but Host::ListIncoming() lists it.
// Frames are given at the end, all at
// once.  It becomes a domain of the host with Awaken()
// or AdoptForeignKernel(), once; until then, whatever goes wrong, nothing is
// left of it when this object goes.
//
// Thread safety: one thread at a time; the host may be used meanwhile.

#ifndef SIMVISOR_DOMAIN_HOST_INCOMING_DOMAIN_H_
#define SIMVISOR_DOMAIN_HOST_INCOMING_DOMAIN_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/frames/frame_pool.h"
#include "domain/host/host.h"
#include "domain/units/units.h"
#include "domain/vm/domain.h"

namespace simvisor {

class IncomingDomain {
 public:
  // Begins a domain whose pfns end at `end`.  Of `spec`, what the guest's
  // kernel notes about itself (map, options, limits) is not looked at; memory
  // of 0 pages stands for `end`, 0 virtual CPUs for
  // those of the guest.  A `claim` of pages is made first.
  //
  // Errors as Host::CreateDomain(); RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED
  // if the host has not `claim` frames to promise.  `host` must outlive it.
  static absl::StatusOr<std::unique_ptr<IncomingDomain>> Create(
      Host& host, DomainSpec spec, Pfn end, PageCount claim = PageCount(0));

  IncomingDomain(const IncomingDomain&) = delete;
  IncomingDomain& operator=(const IncomingDomain&) = delete;
  ~IncomingDomain();

  DomainId id() const { return domain_->id(); }
  // Stretches of pages received so far.
  size_t stretches() const { return received_.pages.extents().size(); }
  // Virtual CPUs that the spec names; 0 if it leaves them to the image.
  uint32_t vcpus() const { return vcpus_; }

  // Notes that `pfns` have pages and promises frames to those that had none.
  // RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED.  REQUIRES: pfns are below the
  // end.
  absl::Status Receive(PfnExtent pfns);
  // Set and copy what a page holds, kPageSize bytes.
  // RESOURCE_EXHAUSTED GUEST_CONTENTS_EXHAUSTED, DAEMON_MEMORY_EXHAUSTED.
  // REQUIRES: it was received.
  absl::Status WritePage(Pfn pfn, absl::Span<const char> data);
  void ReadPage(Pfn pfn, absl::Span<char> page) const;

  // Gives every page its frame, for those who must know frames before
  // AdoptForeignKernel(); nothing can be received afterwards.
  absl::Status PlaceFrames(StopCheck stop = NeverStop);
  // The frame of a page; None() if it has none.
  Mfn FrameAt(Pfn pfn) const;

  // Make it a domain of the host.  AdoptForeignKernel() REQUIRES:
  // PlaceFrames() was called.
  //
  // Awaken() makes the guest that `notes` tell of.  INVALID_ARGUMENT
  // IMAGE_MALFORMED if there can be none, before any page has a frame; errors
  // as Domain::PlanGuest().  When `stop` ends it, nothing is left but this.
  absl::StatusOr<std::shared_ptr<Domain>> Awaken(
      const GuestNotes& notes, LimitsFrom limits = LimitsFrom::kNotes,
      Arrival arrival = Arrival::kPaused, StopCheck stop = NeverStop);
  absl::StatusOr<std::shared_ptr<Domain>> AdoptForeignKernel(
      absl::Span<const uint64_t> leaves, uint32_t vcpus,
      StopCheck stop = NeverStop);

 private:
  IncomingDomain(Host& host, std::shared_ptr<Domain> domain, Pfn end,
                 uint32_t vcpus, FrameReach reach, FrameClaim claim,
                 std::shared_ptr<std::atomic<uint64_t>> promised);

  Host& host_;
  std::shared_ptr<Domain> domain_;
  const Pfn end_;
  const uint32_t vcpus_;
  const FrameReach reach_;
  ReceivedPages received_;
  // What the claim has left, for those who list domains on their way in.
  const std::shared_ptr<std::atomic<uint64_t>> promised_;
  bool placed_ = false;
  bool arrived_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_INCOMING_DOMAIN_H_
