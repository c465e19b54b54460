#include "domain/vm/reservation.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/units/size_text.h"
#include "domain/vm/domain_types.h"

namespace simvisor {
namespace {

std::string OfPages(PageCount pages) {
  return absl::StrCat("of ", SizeText(pages));
}

// What lets a domain have `target` pages.
std::string HowToGrow(PageCount target, std::optional<PageCount> most) {
  if (!most.has_value() || target <= *most) return "raise it with mem-max";
  return absl::StrFormat(
      "its guest has pfns for %s, which mem-max does not change: only a domain "
      "created with more memory or maxmem can grow further",
      SizeText(*most));
}

}  // namespace

PageCount Reservation::Room(PageCount held) const {
  const PageCount owned = current_ + held;
  const PageCount below_max =
      max_pages_ > owned ? max_pages_ - owned : PageCount(0);
  const PageCount below_static =
      static_max_ > current_ ? static_max_ - current_ : PageCount(0);
  return std::min(below_max, below_static);
}

absl::Status Reservation::CheckRoom(const Context& context, PageCount pages,
                                    PageCount held,
                                    std::optional<PageCount> most) const {
  if (pages <= Room(held)) return absl::OkStatus();
  const PageCount limit =
      max_pages_ < static_max_ + held ? max_pages_ : static_max_;
  const std::string of_them =
      held == PageCount(0)
          ? ""
          : absl::StrFormat(" (%d of them held by other domains' mappings)",
                            held.value());
  return context.Refuse(
      absl::StatusCode::kResourceExhausted, Reason::kMaxMemExceeded,
      absl::StrCat("by ", SizeText(pages)),
      absl::StrFormat("it has %s%s and its limit is %s; %s",
                      SizeText(current_ + held), of_them, SizeText(limit),
                      HowToGrow(current_ + pages, most)),
      {{fact::kRequested, pages.value()},
       {fact::kAvailable, Room(held).value()},
       {fact::kLimit, limit.value()},
       {fact::kUnit, "pages"}});
}

PageCount Reservation::AboveLeast(DomainId id) const {
  const PageCount least = id == kDom0Id ? kMinDom0Memory : PageCount(0);
  return current_ > least ? current_ - least : PageCount(0);
}

absl::Status Reservation::CheckDom0Keeps(
    const Context& context, PageCount left,
    absl::FunctionRef<std::string()> details) {
  if (context.id() != kDom0Id || left >= kMinDom0Memory) {
    return absl::OkStatus();
  }
  return context.Refuse(
      absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid, details(),
      absl::StrFormat("it would have %s, below the minimum threshold for dom0, "
                      "%s; leave it at least that",
                      SizeText(left), SizeText(kMinDom0Memory)),
      {{fact::kRequested, left.value()},
       {fact::kLimit, kMinDom0Memory.value()},
       {fact::kUnit, "pages"}});
}

void Reservation::Gained(PageCount pages) {
  assert(current_ + pages >= current_);
  current_ += pages;
}

void Reservation::Lost(PageCount pages) {
  assert(pages <= current_);
  current_ -= pages;
}

absl::Status Reservation::SetTarget(const Context& context, PageCount target,
                                    std::optional<PageCount> most) {
  const Context asked = context.As("memory target");
  SIMVISOR_RETURN_IF_ERROR(
      CheckDom0Keeps(asked, target, [target] { return OfPages(target); }));
  if (target == PageCount(0)) {
    return asked.Refuse(absl::StatusCode::kInvalidArgument,
                        Reason::kMemorySizeInvalid,
                        "of 0 pages; name at least one, or destroy the domain",
                        "", {{fact::kRequested, 0}, {fact::kUnit, "pages"}});
  }
  if (target > static_max_) {
    return asked.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kStaticMaxExceeded,
        OfPages(target),
        absl::StrFormat("memory_dynamic_max must be less than or equal to "
                        "memory_static_max, %s; %s",
                        SizeText(static_max_), HowToGrow(target, most)),
        {{fact::kRequested, target.value()},
         {fact::kLimit, static_max_.value()},
         {fact::kUnit, "pages"}});
  }
  max_pages_ = MaxPagesFor(target);
  target_ = target;
  return absl::OkStatus();
}

absl::Status Reservation::SetMaximum(const Context& context,
                                     PageCount max_memory, const Abi& abi) {
  const Context asked = context.As("maximum memory");
  if (max_memory > abi.max_domain_pages()) {
    return asked.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kMemorySizeInvalid,
        OfPages(max_memory),
        absl::StrFormat("a domain of %s has at most %s; ask for less", abi.name,
                        SizeText(abi.max_domain_pages())),
        {{fact::kRequested, max_memory.value()},
         {fact::kLimit, abi.max_domain_pages().value()},
         {fact::kUnit, "pages"}});
  }
  if (max_memory < target_) {
    return asked.Refuse(
        absl::StatusCode::kInvalidArgument, Reason::kMaxMemBelowTarget,
        OfPages(max_memory),
        absl::StrFormat("its target is %s; lower that with mem-set first",
                        SizeText(target_)),
        {{fact::kRequested, max_memory.value()},
         {fact::kLimit, target_.value()},
         {fact::kUnit, "pages"}});
  }
  max_pages_ = MaxPagesFor(max_memory);
  static_max_ = max_memory;
  return absl::OkStatus();
}

void Reservation::TargetDropsBy(PageCount released, PageCount before) {
  assert(released <= before);
  target_ = target_ >= before ? target_ - released
                              : std::min(target_, before - released);
}

void Reservation::TakeLimits(const Reservation& other) {
  max_pages_ = other.max_pages_;
  static_max_ = other.static_max_;
  target_ = other.target_;
}

void Reservation::Encode(StateWriter& out) const {
  out.Put(target_.value());
  out.Put(static_max_.value());
  out.Put(max_pages_.value());
}

Reservation Reservation::Decode(StateReader& in, const Abi& abi) {
  const uint64_t most = abi.max_domain_pages().value();
  // The target may be above static_max, since it follows a guest that has more.
  const PageCount target(in.Get("target", 1, most));
  const PageCount static_max(in.Get("static_max", 1, most));
  const PageCount max_pages(
      in.Get("max_pages", 1, MaxPagesFor(static_max).value()));
  return Reservation(max_pages, static_max, target);
}

}  // namespace simvisor
