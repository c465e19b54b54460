// The processes of a PAE guest.

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Hands out what another source has, and remembers it.
class NotingSource : public PageSource {
 public:
  explicit NotingSource(PageSource& source) : source_(source) {}

  PfnExtent Take(PageCount count) override {
    const PfnExtent pages = source_.Take(count);
    taken_.Add(pages);
    return pages;
  }
  void Return(PfnExtent pages) override {
    taken_.Remove(pages);
    source_.Return(pages);
  }

  const PfnSet& taken() const { return taken_; }

 private:
  PageSource& source_;
  PfnSet taken_;
};

}  // namespace

absl::Status Domain::CheckHasAddressSpaces(const Context& context) const {
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAlive));
  if (abi_->arch != Arch::kX86_32Pae) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kArchNotPae, "",
        absl::StrFormat(
            "its guest is %s; only a PAE guest's address spaces are simulated",
            abi_->name));
  }
  return Check(context, Needs::kBooted);
}

bool Domain::HoldsPageTables(PfnExtent pfns) const {
  return address_spaces_ != nullptr && address_spaces_->Intersects(pfns);
}

bool Domain::RenderKernelPage(Pfn pfn, absl::Span<char> page) const {
  if (built_.has_value() && built_->Render(pfn, page)) return true;
  if (list_ != nullptr && list_->Render(pfn, page)) return true;
  return address_spaces_ != nullptr && address_spaces_->RenderPage(pfn, page);
}

void Domain::MarkPageTablesDirty() {
  if (!dirty_.enabled()) return;
  address_spaces_->ForEachPage(
      [this](PfnExtent pfns)
          ABSL_NO_THREAD_SAFETY_ANALYSIS { dirty_.Mark(pfns); });
}

void Domain::ZeroPages(const PfnSet& pages) {
  for (const auto& [first, end] : pages.extents()) {
    dirty_.Mark(ExtentBetween(first, end));
  }
  if (contents_.size() == 0) return;
  std::vector<MfnExtent> frames;
  for (const auto& [first, end] : pages.extents()) {
    for (Pfn at = first; at < end;) {
      at = words_->CollectFrames(ExtentBetween(at, end), kMaxRuns, frames);
    }
  }
  for (const MfnExtent& extent : frames) contents_.Drop(extent);
}

absl::StatusOr<NewAddressSpaces> Domain::CreateAddressSpaces(
    const Operation& operation, uint32_t count) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(CheckHasAddressSpaces(context));
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwake));
  if (count == 0) {
    return context.As("create").Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        "of 0 address spaces; name at least one", "");
  }
  const PageCount needed = address_spaces_->PagesToCreate(count);
  if (needed > free_pages_.count()) {
    return context.As("create").Refuse(
        absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
        absl::StrFormat("of %d address spaces", count),
        absl::StrFormat("they take %d pages and the guest has %d free; balloon "
                        "it up or create fewer",
                        needed.value(), free_pages_.count().value()));
  }
  NotingSource source(free_pages_);
  NewAddressSpaces made;
  SIMVISOR_ASSIGN_OR_RETURN(
      made.first_id, address_spaces_->Create(count, source, operation.stop));
  ZeroPages(source.taken());
  MarkPageTablesDirty();
  made.totals = address_spaces_->totals();
  return made;
}

absl::StatusOr<AddressSpaceTotals> Domain::DestroyAddressSpaces(
    const Operation& operation, absl::Span<const uint64_t> ids) {
  const ChangeLock lock(this);
  const Context context(id_, operation.name);
  SIMVISOR_RETURN_IF_ERROR(CheckHasAddressSpaces(context));
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwake));
  // Pages that are given back hold nothing, which is a change too.
  MarkPageTablesDirty();
  SIMVISOR_RETURN_IF_ERROR(
      address_spaces_->Destroy(ids, free_pages_, operation.stop));
  return address_spaces_->totals();
}

absl::StatusOr<AddressSpaceTotals> Domain::ListAddressSpaces(
    uint64_t first_id, size_t max,
    std::vector<AddressSpaceInfo>& spaces) const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(
      CheckHasAddressSpaces(Context(id_, "list address spaces")));
  address_spaces_->List(first_id, max, spaces);
  return address_spaces_->totals();
}

absl::Status Domain::TranslateIn(uint64_t id, absl::Span<const uint64_t> pfns,
                                 std::vector<P2mWord>& words) const {
  absl::ReaderMutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(
      CheckHasAddressSpaces(Context(id_, "translate in an address space")));
  return address_spaces_->Translate(id, pfns, words);
}

absl::StatusOr<AddressSpaceSync> Domain::SyncAddressSpaces(
    const Operation& operation) {
  const Context context(id_, operation.name);
  absl::MutexLock lock(&mu_);
  SIMVISOR_RETURN_IF_ERROR(CheckHasAddressSpaces(context));
  SIMVISOR_RETURN_IF_ERROR(Check(context, Needs::kAwake));
  MarkPageTablesDirty();
  return address_spaces_->Sync(operation.stop);
}

}  // namespace simvisor
