// What a domain is made of.  Operations reach it through Domain::Look(), Peek()
// and Change().
//
// While a domain is being built or comes in, it has neither an image nor a
// guest.  Then it gets an image, or, if notes came with its pages, a guest.  An
// image that boots is replaced by its guest.  A guest stays for good.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_VM_PARTS_H_
#define SIMVISOR_DOMAIN_VM_PARTS_H_

#include <cassert>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "domain/frames/page_store.h"
#include "domain/guest/built_image.h"
#include "domain/guest/guest.h"
#include "domain/guest/guest_memory.h"
#include "domain/guest/mapping_epoch.h"
#include "domain/p2m/p2m_words.h"
#include "domain/units/operation.h"
#include "domain/vm/life.h"
#include "domain/vm/reservation.h"

namespace simvisor {

class Parts {
 public:
  Parts(LifeEnd& end, const Reservation& ledger,
        std::unique_ptr<P2mWords> words, std::shared_ptr<PageStore> store)
      : life(end),
        reservation(ledger),
        memory(std::move(words), std::move(store)) {}
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  // Null if there is none.
  BuiltImage* built() { return built_.get(); }
  const BuiltImage* built() const { return built_.get(); }
  Guest* guest() { return guest_.get(); }
  const Guest* guest() const { return guest_.get(); }

  // FAILED_PRECONDITION GUEST_KERNEL_UNKNOWN unless there is an image.
  absl::Status CheckBuilt(const Context& context) const;

  // Installs an image; its pages are the kernel pages from now on.
  // REQUIRES: there is no guest.
  void SetBuilt(std::unique_ptr<BuiltImage> built) {
    assert(guest_ == nullptr);
    memory.SetKernelPages(built.get());
    built_ = std::move(built);
  }
  // Installs the guest and drops the image.
  // REQUIRES: there is no guest yet, and this one was made with the words of
  // `memory`.
  void SetGuest(std::unique_ptr<Guest> guest) {
    assert(guest_ == nullptr);
    guest->Attach(memory);
    memory.SetKernelPages(guest.get());
    guest_ = std::move(guest);
    built_ = nullptr;
  }

  Life life;
  Reservation reservation;
  GuestMemory memory;
  // Changes when the domain's frames do all at once, so that a secondary MMU
  // can tell a domain whose frames it may have mapped from one that came out of
  // an image since: 1 in a domain that was created here, and the epoch of its
  // notes + 1 in one that arrived.
  uint64_t mapping_epoch = kFirstMappingEpoch;

 private:
  std::unique_ptr<BuiltImage> built_;
  std::unique_ptr<Guest> guest_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_VM_PARTS_H_
