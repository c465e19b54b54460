// mfn -> pfn, as a guest works it out (A5).
//
// The machine has one table of what each frame stands for (the m2p), which
// every guest reads and none can trust: an entry may be another domain's, or
// behind what a balloon is doing.  So a guest takes the entry as a candidate
// and believes it only if its own list maps that pfn to the frame.
//
// Thread safety: a pure function; P2mWords says when lookups may overlap
// writes.

#ifndef SIMVISOR_DOMAIN_P2M_M2P_H_
#define SIMVISOR_DOMAIN_P2M_M2P_H_

#include "domain/p2m/p2m_words.h"
#include "domain/units/units.h"

namespace simvisor {

// What a guest says about a frame; None() where it has no answer.
struct MfnTranslation {
  // mfn_to_pfn().
  Pfn pfn = Pfn::None();
  // mfn_to_local_pfn(): the same if it is the domain's own RAM.
  Pfn local = Pfn::None();

  friend bool operator==(const MfnTranslation&,
                         const MfnTranslation&) = default;
};

// The answer of the guest whose list has `words`; `candidate` is the machine's
// m2p entry of `mfn`, for any owner of the frame, and None() past the machine
// or where the m2p has no entry.  Compares words as the guest stores them, so
// that flag bits count, and an mfn that runs into them gets what the kernel
// would say.
MfnTranslation MfnToPfn(const P2mWords& words, Mfn mfn, Pfn candidate);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_M2P_H_
