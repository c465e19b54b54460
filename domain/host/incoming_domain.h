// A domain that arrives at a host from an image.
//
// Like a domain that is being built it takes id, name and uuid, and it claims
// frames as pages arrive.  No call finds it, but Host::ListIncoming() lists it.
// It gets all its frames together at the end.  Awaken() or
// AdoptForeignKernel(), called once, makes it a domain of the host; otherwise
// the destructor removes everything, whatever went wrong.
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
  // Begins a domain whose pfns end at `end`.  Ignores what `spec` says about
  // things that the guest's kernel records itself (map, options, limits);
  // memory of 0 pages means `end`, and 0 virtual CPUs means the guest's number.
  // First claims `claim` pages.  If `leaving`, a domain of this host that is on
  // its way here, has the name and uuid of `spec`, the new one stands in for it
  // until Host::TakeOver(), and is called NAME--incoming as in xl.
  //
  // Errors as for Host::CreateDomain(); RESOURCE_EXHAUSTED
  // HOST_MEMORY_EXHAUSTED if the host cannot promise `claim` frames.  `host`
  // must outlive the object.
  static absl::StatusOr<std::unique_ptr<IncomingDomain>> Create(
      Host& host, DomainSpec spec, Pfn end, PageCount claim = PageCount(0),
      const Domain* leaving = nullptr);

  IncomingDomain(const IncomingDomain&) = delete;
  IncomingDomain& operator=(const IncomingDomain&) = delete;
  ~IncomingDomain();

  DomainId id() const { return domain_->id(); }
  // The number of extents of pages received so far.
  size_t stretches() const { return received_.pages.extents().size(); }
  // Virtual CPUs in the spec; 0 if it leaves the number to the image.
  uint32_t vcpus() const { return vcpus_; }

  // Records that `pfns` have pages and claims frames for the new ones.
  // RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED.
  // REQUIRES: pfns are below the end.
  absl::Status Receive(PfnExtent pfns);
  // Set and copy the content of a page, kPageSize bytes.  RESOURCE_EXHAUSTED
  // GUEST_CONTENTS_EXHAUSTED, DAEMON_MEMORY_EXHAUSTED.
  // REQUIRES: the page was received.
  absl::Status WritePage(Pfn pfn, absl::Span<const char> data);
  void ReadPage(Pfn pfn, absl::Span<char> page) const;

  // Gives every page its frame, for callers that must know frames before
  // AdoptForeignKernel(); no page can be received afterwards.
  absl::Status PlaceFrames(StopCheck stop = NeverStop);
  // The frame of a page; None() if it has none.
  Mfn FrameAt(Pfn pfn) const;

  // Make this a domain of the host.
  // REQUIRES: for AdoptForeignKernel(), PlaceFrames() was called.
  //
  // Awaken() makes the guest that `notes` describe.  INVALID_ARGUMENT
  // IMAGE_MALFORMED if that is impossible, before any page has a frame; errors
  // as for DomainBuild::PlanGuest().  If `stop` ends it, only this object is
  // left.
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
  // What is left of the claim, for callers that list incoming domains.
  const std::shared_ptr<std::atomic<uint64_t>> promised_;
  bool placed_ = false;
  bool arrived_ = false;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_HOST_INCOMING_DOMAIN_H_
