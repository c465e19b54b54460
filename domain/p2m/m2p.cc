#include "domain/p2m/m2p.h"

namespace simvisor {

MfnTranslation MfnToPfn(const P2mWords& words, Mfn mfn, Pfn candidate) {
  const Abi& abi = words.abi();
  const auto reads = [&](Pfn pfn) { return words.Lookup(pfn).ToAbi(abi); };
  MfnTranslation answer;
  if (!candidate.is_none() && reads(candidate) == mfn.value()) {
    answer.pfn = candidate;
  } else if (reads(Pfn(mfn.value())) == (mfn.value() | abi.identity_bit)) {
    answer.pfn = Pfn(mfn.value());
  }
  if (!answer.pfn.is_none() && reads(answer.pfn) == mfn.value()) {
    answer.local = answer.pfn;
  }
  return answer;
}

}  // namespace simvisor
