#include "domain/vm/domain_processes.h"

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/vm/domain.h"

namespace simvisor {
namespace {

// Hands out pages of another source, and remembers them.
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

absl::Status CheckHasProcesses(const Context& context, const Parts& on) {
  const Abi& abi = on.memory.words().abi();
  if (abi.arch != Arch::kX86_32Pae) {
    return context.Refuse(
        absl::StatusCode::kFailedPrecondition, Reason::kArchNotPae, "",
        absl::StrFormat(
            "its guest is %s; only a PAE guest's address spaces are simulated",
            abi.name),
        {{fact::kValue, abi.name}});
  }
  return on.life.Check(context, Needs::kBooted);
}

absl::Status CheckCanChange(const Context& context, const Parts& on) {
  SIMVISOR_RETURN_IF_ERROR(CheckHasProcesses(context, on));
  return on.life.Check(context, Needs::kNotSuspended);
}

void MarkPageTablesDirty(Parts& on) {
  if (!on.memory.dirty().enabled()) return;
  on.guest()->processes()->ForEachPage(
      [&on](PfnExtent pfns) { on.memory.MarkDirty(pfns); });
}

absl::Status CheckCanCreate(const Context& context, uint32_t count,
                            const Guest& guest) {
  if (count == 0) {
    return context.Refuse(absl::StatusCode::kInvalidArgument,
                          Reason::kRangeInvalid,
                          "of 0 address spaces; name at least one", "");
  }
  const PageCount needed = guest.processes()->PagesToCreate(count);
  const PageCount free = guest.free_pages().count();
  if (needed <= free) return absl::OkStatus();
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kGuestMemoryExhausted,
      absl::StrFormat("of %d address spaces", count),
      absl::StrFormat("they take %d pages and the guest has %d free; balloon "
                      "it up or create fewer",
                      needed.value(), free.value()),
      {{fact::kRequested, needed.value()},
       {fact::kAvailable, free.value()},
       {fact::kUnit, "pages"}});
}

}  // namespace

absl::StatusOr<NewAddressSpaces> DomainProcesses::Create(
    const Operation& operation, uint32_t count) const {
  return domain_.Change(
      operation, Needs::kAlive,
      [=](ChangeScope& change) -> absl::StatusOr<NewAddressSpaces> {
        const Context& context = change.context();
        Parts& on = change.parts();
        SIMVISOR_RETURN_IF_ERROR(CheckCanChange(context, on));
        SIMVISOR_RETURN_IF_ERROR(
            CheckCanCreate(context.As("create"), count, *on.guest()));
        AddressSpaces& processes = *on.guest()->processes();
        NotingSource source(on.guest()->free_pages());
        NewAddressSpaces made;
        const absl::StatusOr<uint64_t> first =
            processes.Create(count, source, change.stop());
        if (!first.ok()) return context.Within(first.status());
        made.first_id = *first;
        on.memory.Zero(source.taken());
        MarkPageTablesDirty(on);
        made.totals = processes.totals();
        return made;
      });
}

absl::StatusOr<AddressSpaceTotals> DomainProcesses::Destroy(
    const Operation& operation, absl::Span<const uint64_t> ids) const {
  return domain_.Change(
      operation, Needs::kAlive,
      [&](ChangeScope& change) -> absl::StatusOr<AddressSpaceTotals> {
        Parts& on = change.parts();
        SIMVISOR_RETURN_IF_ERROR(CheckCanChange(change.context(), on));
        // Pages that are given back lose what they hold, which is a change too.
        MarkPageTablesDirty(on);
        AddressSpaces& processes = *on.guest()->processes();
        const absl::Status destroyed =
            processes.Destroy(ids, on.guest()->free_pages(), change.stop());
        if (!destroyed.ok()) return change.context().Within(destroyed);
        return processes.totals();
      });
}

absl::StatusOr<AddressSpaceSync> DomainProcesses::Sync(
    const Operation& operation) const {
  return domain_.Change(
      operation, Needs::kAlive,
      [](ChangeScope& change) -> absl::StatusOr<AddressSpaceSync> {
        change.ShowNothing();
        Parts& on = change.parts();
        SIMVISOR_RETURN_IF_ERROR(CheckCanChange(change.context(), on));
        MarkPageTablesDirty(on);
        return on.guest()->processes()->Sync(change.stop());
      });
}

absl::StatusOr<AddressSpaceTotals> DomainProcesses::List(
    uint64_t first_id, size_t max,
    std::vector<AddressSpaceInfo>& spaces) const {
  return domain_.Look(
      "list address spaces", Needs::kAlive,
      [&](const Parts& on,
          const Context& context) -> absl::StatusOr<AddressSpaceTotals> {
        SIMVISOR_RETURN_IF_ERROR(CheckHasProcesses(context, on));
        on.guest()->processes()->List(first_id, max, spaces);
        return on.guest()->processes()->totals();
      });
}

absl::Status DomainProcesses::TranslateIn(uint64_t id,
                                          absl::Span<const uint64_t> pfns,
                                          std::vector<P2mWord>& words) const {
  return domain_.Look(
      "translate in an address space", Needs::kAlive,
      [&](const Parts& on, const Context& context) -> absl::Status {
        SIMVISOR_RETURN_IF_ERROR(CheckHasProcesses(context, on));
        const absl::Status translated =
            on.guest()->processes()->Translate(id, pfns, words);
        return translated.ok() ? translated : context.Within(translated);
      });
}

}  // namespace simvisor
