// What a domain's builder, ours or another, leaves for a kernel: the builder's
// p2m list, and the free pages around it.
//
// A kernel that boots takes all of this over (Guest::Boot()).  A foreign kernel
// never boots; its image can only be looked at.
//
// Thread safety: thread-compatible; Domain serialises with its mutex.

#ifndef SIMVISOR_DOMAIN_GUEST_BUILT_IMAGE_H_
#define SIMVISOR_DOMAIN_GUEST_BUILT_IMAGE_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/allocation_faults.h"
#include "domain/collections/extent_set.h"
#include "domain/guest/free_pages.h"
#include "domain/guest/guest_config.h"
#include "domain/guest/guest_types.h"
#include "domain/guest/hypercalls.h"
#include "domain/guest/kernel_pages.h"
#include "domain/guest/memory_setup.h"
#include "domain/p2m/builder_list.h"
#include "domain/p2m/p2m_words.h"
#include "domain/p2m/structure_pages.h"
#include "domain/units/abi.h"
#include "domain/units/findings.h"
#include "domain/units/operation.h"
#include "domain/units/units.h"

namespace simvisor {

class GuestMemory;

// How a guest will be built.
struct BuildPlan {
  GuestConfig config;
  PageCount memory;      // pages that the domain starts with
  MemorySetup setup;     // what its kernel will do
  PageCount boot_pages;  // see PagesToBoot()
};

struct BuildInput {
  const Abi* abi;
  absl::string_view name;  // of the domain, for messages
  GuestConfig config;
  PageCount memory;
  // As in MemorySetupInput.
  PageCount ceiling;
  bool initial = false;
  AllocationFaults* faults = nullptr;
};

// Plans a build by arithmetic on the guest's map.
// INVALID_ARGUMENT MEMORY_SIZE_INVALID if the guest could not boot in its
// memory, E820_MALFORMED; FAILED_PRECONDITION E820_REMAP_OVERFLOW;
// RESOURCE_EXHAUSTED HOST_ADDRESS_SPACE_EXHAUSTED.
absl::StatusOr<BuildPlan> PlanBuild(const BuildInput& input);

class BuiltImage final : public KernelPages {
 public:
  // Makes the builder's list over `words`, in the lowest usable pages.  `words`
  // and `faults` must outlive the image.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED.
  // REQUIRES: `words` are empty, and have room for the p2m area of the plan.
  static absl::StatusOr<std::unique_ptr<BuiltImage>> Build(
      BuildPlan plan, P2mWords& words, AllocationFaults* faults);
  // The image that another builder left for a kernel like ours: its list, and
  // `used`, the other pages that it filled.
  // REQUIRES: the pages of the list and `used` are RAM of the map.
  static std::unique_ptr<BuiltImage> Found(BuildPlan plan, BuilderList list,
                                           PfnSet used,
                                           AllocationFaults* faults);
  // The image of a foreign kernel, whose free pages are not known.
  static std::unique_ptr<BuiltImage> OfForeignKernel(BuilderList list);

  const BuilderList& list() const { return list_; }
  const FreePages& free_pages() const { return free_pages_; }

  // Free pages that the plan of the boot takes.
  PageCount PagesInPlan() const;
  // The same, with one for a leaf that a later mark may split.
  PageCount PagesStillToBoot() const;
  // Makes the words of `pfns` identity, and releases or keeps `frames`, the
  // frames under them.
  // RESOURCE_EXHAUSTED GUEST_MEMORY_EXHAUSTED if too few pages would be left to
  // boot; then nothing has changed.
  // REQUIRES: `pfns` end within the list, and hold no page of it.
  absl::StatusOr<RangeChange> MarkIdentity(const Context& context,
                                           PfnExtent pfns,
                                           absl::Span<const MfnExtent> frames,
                                           RamPolicy policy,
                                           GuestMemory& memory,
                                           Hypercalls& hypercalls);

  // Adds a finding for each page that is not RAM, or has two uses.
  void Check(Findings& findings) const;

  // KernelPages.
  bool Render(Pfn pfn, absl::Span<char> page) const override;
  const StructurePages& list_pages() const override { return list_.pages(); }
  bool HoldsPageTables(PfnExtent) const override { return false; }
  Pfn NextFrom(Pfn pfn) const override { return list_.pages().NextFrom(pfn); }
  int TableLevel(Pfn) const override { return 0; }

 private:
  friend class Guest;  // boots from it

  BuiltImage(BuildPlan plan, BuilderList list, FreePages free_pages,
             PfnSet used)
      : plan_(std::move(plan)),
        list_(std::move(list)),
        free_pages_(std::move(free_pages)),
        used_(std::move(used)) {}

  BuildPlan plan_;
  BuilderList list_;
  FreePages free_pages_;
  PfnSet used_;  // pages of the kernel and of what was built beside it
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_BUILT_IMAGE_H_
