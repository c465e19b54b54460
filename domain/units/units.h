// Frame numbers, page numbers, counts and domain ids as distinct types.
//
// A Pfn cannot be mixed with an Mfn by accident: only meaningful operators
// exist (Pfn - Pfn = PageCount, Pfn + PageCount = Pfn), and only value() gives
// the raw number.  Arithmetic wraps like uint64_t; callers that take numbers
// from outside check them with FitsWithin() before they add.
//
// Thread safety: values, no shared state.

#ifndef SIMVISOR_DOMAIN_UNITS_UNITS_H_
#define SIMVISOR_DOMAIN_UNITS_UNITS_H_

#include <compare>
#include <cstdint>
#include <limits>
#include <utility>

namespace simvisor {

// Bytes in a page and in a frame, on both ABIs (XC_PAGE_SIZE).
inline constexpr uint64_t kPageSize = 4096;
inline constexpr int kPageShift = 12;
static_assert(kPageSize == uint64_t{1} << kPageShift);
inline constexpr uint64_t kPagesPerMiB = (uint64_t{1} << 20) / kPageSize;
inline constexpr uint64_t kPagesPerGiB = (uint64_t{1} << 30) / kPageSize;

// A number of pages; also counts frames, as one frame holds one page.
class PageCount {
 public:
  constexpr PageCount() = default;
  constexpr explicit PageCount(uint64_t pages) : pages_(pages) {}

  constexpr uint64_t value() const { return pages_; }
  constexpr uint64_t in_bytes() const { return pages_ * kPageSize; }

  friend constexpr auto operator<=>(PageCount, PageCount) = default;
  friend constexpr PageCount operator+(PageCount a, PageCount b) {
    return PageCount(a.pages_ + b.pages_);
  }
  friend constexpr PageCount operator-(PageCount a, PageCount b) {
    return PageCount(a.pages_ - b.pages_);
  }
  constexpr PageCount& operator+=(PageCount n) { return *this = *this + n; }
  constexpr PageCount& operator-=(PageCount n) { return *this = *this - n; }

 private:
  uint64_t pages_ = 0;
};

// A point in one of the two page-number spaces; Tag keeps the spaces apart.
template <typename Tag>
class PageNumber {
 public:
  constexpr PageNumber() = default;
  constexpr explicit PageNumber(uint64_t number) : number_(number) {}

  // The number that means "no page" (INVALID_MFN in Xen's terms).
  static constexpr PageNumber None() {
    return PageNumber(std::numeric_limits<uint64_t>::max());
  }

  constexpr uint64_t value() const { return number_; }
  constexpr bool is_none() const { return *this == None(); }

  friend constexpr auto operator<=>(PageNumber, PageNumber) = default;
  friend constexpr PageNumber operator+(PageNumber n, PageCount c) {
    return PageNumber(n.number_ + c.value());
  }
  friend constexpr PageNumber operator-(PageNumber n, PageCount c) {
    return PageNumber(n.number_ - c.value());
  }
  friend constexpr PageCount operator-(PageNumber a, PageNumber b) {
    return PageCount(a.number_ - b.number_);
  }
  constexpr PageNumber& operator+=(PageCount c) { return *this = *this + c; }

 private:
  uint64_t number_ = 0;
};

// A page of a domain's own (pseudo-physical) address space.
using Pfn = PageNumber<struct PfnTag>;
// A frame of the simulated machine.
using Mfn = PageNumber<struct MfnTag>;

// A half-open range [first, first + count).
template <typename Number>
struct Extent {
  Number first;
  PageCount count;

  constexpr Number end() const { return first + count; }
  constexpr bool empty() const { return count.value() == 0; }
  constexpr bool Contains(Number n) const {
    return n >= first && n.value() - first.value() < count.value();
  }
  friend constexpr bool operator==(const Extent&, const Extent&) = default;
};
using PfnExtent = Extent<Pfn>;
using MfnExtent = Extent<Mfn>;

// The extent [first, end); empty if end <= first.
template <typename Number>
constexpr Extent<Number> ExtentBetween(Number first, Number end) {
  return {first, end > first ? end - first : PageCount(0)};
}

// True iff [first, first + count) lies in [0, limit), without overflowing.
template <typename Number>
constexpr bool FitsWithin(Number first, PageCount count, Number limit) {
  return first <= limit && count <= limit - first;
}

// A domain's number, 0 to 0x7FEF (DOMID_FIRST_RESERVED - 1); dom0 is 0.
class DomainId {
 public:
  constexpr DomainId() = default;
  constexpr explicit DomainId(uint16_t id) : id_(id) {}
  constexpr uint16_t value() const { return id_; }
  friend constexpr auto operator<=>(DomainId, DomainId) = default;
  template <typename H>
  friend H AbslHashValue(H h, DomainId id) {
    return H::combine(std::move(h), id.id_);
  }

 private:
  uint16_t id_ = 0;
};
// Xen's DOMID_FIRST_RESERVED: ordinary domains have smaller ids.
inline constexpr uint16_t kFirstReservedDomainId = 0x7FF0;
inline constexpr DomainId kDom0Id{0};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_UNITS_H_
