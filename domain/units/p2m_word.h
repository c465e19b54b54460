// One word of a p2m list, independent of the guest's ABI.
//
// Inside Simvisor a word is 64 bits wide and coded as on x86-64: all ones is
// INVALID (no frame), bit 62 marks an identity word, bit 63 a foreign word, and
// anything else is the mfn of a frame that the domain owns.  ToAbi() and
// FromAbi() translate to and from the width and flag bits of a guest's page.
// INVALID has both flag bits set, so it is tested before either
// (xen_p2m_elem_type()).
//
// Thread safety: values, no shared state.

#ifndef SIMVISOR_DOMAIN_UNITS_P2M_WORD_H_
#define SIMVISOR_DOMAIN_UNITS_P2M_WORD_H_

#include <cassert>
#include <compare>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {

enum class P2mClass { kRam, kIdentity, kForeign, kMissing };

// "pfn", "identity", "foreign", "missing".
absl::string_view P2mClassName(P2mClass c);

class P2mWord {
 public:
  // INVALID_P2M_ENTRY.
  constexpr P2mWord() = default;

  static constexpr P2mWord Invalid() { return P2mWord(); }
  // REQUIRES: the number is below 2^58.
  static constexpr P2mWord Ram(Mfn mfn) {
    assert(mfn.value() < uint64_t{1} << 58);
    return P2mWord(mfn.value());
  }
  static constexpr P2mWord Identity(Pfn pfn) {
    return P2mWord(pfn.value() | kAbiX86_64.identity_bit);
  }
  static constexpr P2mWord Foreign(Mfn mfn) {
    return P2mWord(mfn.value() | kAbiX86_64.foreign_bit);
  }
  static constexpr P2mWord FromRaw(uint64_t raw) { return P2mWord(raw); }

  constexpr uint64_t raw() const { return raw_; }
  constexpr bool is_invalid() const { return raw_ == kAbiX86_64.invalid_word; }
  constexpr bool is_ram() const { return (raw_ & kFlagBits) == 0; }

  constexpr P2mClass Class() const {
    if (is_invalid()) return P2mClass::kMissing;
    if (raw_ & kAbiX86_64.identity_bit) return P2mClass::kIdentity;
    if (raw_ & kAbiX86_64.foreign_bit) return P2mClass::kForeign;
    return P2mClass::kRam;
  }

  // The number without its flags: the mfn of a RAM or foreign word, the pfn of
  // an identity word, all ones of an INVALID one (pfn_to_mfn()).
  constexpr uint64_t Number() const {
    return is_invalid() ? raw_ : raw_ & ~kFlagBits;
  }

  // The word as a guest of `abi` stores it.  A number that does not fit
  // (FitsAbi()) reaches into the flag bits, as it does in a kernel.
  constexpr uint64_t ToAbi(const Abi& abi) const {
    if (is_invalid()) return abi.invalid_word;
    return Number() | (raw_ & kAbiX86_64.identity_bit ? abi.identity_bit : 0) |
           (raw_ & kAbiX86_64.foreign_bit ? abi.foreign_bit : 0);
  }
  static constexpr P2mWord FromAbi(const Abi& abi, uint64_t word) {
    if (word == abi.invalid_word) return Invalid();
    return P2mWord((word & ~(abi.identity_bit | abi.foreign_bit)) |
                   (word & abi.identity_bit ? kAbiX86_64.identity_bit : 0) |
                   (word & abi.foreign_bit ? kAbiX86_64.foreign_bit : 0));
  }
  // False for numbers that would reach into the flag bits of `abi`: 2^30 and
  // above on PAE.
  constexpr bool FitsAbi(const Abi& abi) const {
    return is_invalid() || Number() < abi.plain_word_limit();
  }

  // "INVALID", "ram:0x12", "identity:0x12" or "foreign:0x12".
  std::string ToString() const;

  friend constexpr bool operator==(P2mWord, P2mWord) = default;

 private:
  static constexpr uint64_t kFlagBits =
      kAbiX86_64.identity_bit | kAbiX86_64.foreign_bit;
  constexpr explicit P2mWord(uint64_t raw) : raw_(raw) {}
  uint64_t raw_ = kAbiX86_64.invalid_word;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_P2M_WORD_H_
