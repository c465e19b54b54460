// P2mOperations: reads arguments from bytes.
//
// Each statement reads from the bytes only once: compilers may evaluate the
// operands of an expression in any order, and an input must mean the same for
// all compilers.

#include <algorithm>

#include "tests/fuzz/p2m_operations.h"

namespace simvisor {

uint64_t P2mOperations::PickPfn() {
  const uint8_t kind = bytes_.Byte() % 6;
  switch (kind) {
    case 0:
      return bytes_.Below(capacity_);
    case 1:  // at the edge of a leaf
    case 2:  // at the edge of a mid
    {
      const uint64_t span = kind == 1 ? abi_.leaf_span() : abi_.mid_span();
      const uint64_t number = bytes_.Below(capacity_ / span + 1);
      return number * span + bytes_.Byte() % 5 - 2;
    }
    case 3:  // where the builder's words are
      return bytes_.Below(6 * abi_.leaf_span());
    case 4:
      return model_->size() + bytes_.Byte() % 5 - 2;
    default:
      return bytes_.Number(8);
  }
}

PfnExtent P2mOperations::PickRange() {
  uint64_t first = PickPfnInList();
  const uint64_t leaf = abi_.leaf_span();
  uint64_t count = 0;
  switch (bytes_.Byte() % 4) {
    case 0:
      count = bytes_.Byte() % 8;
      break;
    case 1:
      count = bytes_.Below(3 * leaf);
      break;
    case 2:  // to the end of a leaf near by
      count = (1 + bytes_.Byte() % 4) * leaf - first % leaf;
      break;
    default: {
      const bool wide = bytes_.Byte() % 8 == 0 && model_->relocated() &&
                        wide_ranges_ < kMaxWideRanges;
      wide_ranges_ += wide ? 1 : 0;
      count = wide ? abi_.mid_span() : leaf;
      first -= first % count;
      break;
    }
  }
  return {Pfn(first), PageCount(std::min(count, model_->size() - first))};
}

PfnExtent P2mOperations::PickExtra() {
  // Compact room never lies in the builder's list.
  const bool compact = options_.balloon_room == BalloonRoom::kCompact;
  const uint64_t lowest = compact ? model_->size() : 0;
  const uint64_t first = lowest + bytes_.Below(capacity_ - lowest);
  const uint64_t count = 1 + bytes_.Below(5 * abi_.leaf_span());
  return ExtentBetween(Pfn(first), Pfn(std::min(first + count, capacity_)));
}

P2mWord P2mOperations::PickWord(uint64_t pfn) {
  switch (bytes_.Byte() % 8) {
    case 0:
      return P2mWord::Invalid();
    case 1:
      return P2mWord::Identity(Pfn(pfn));
    case 2:  // of another pfn
      return P2mWord::Identity(Pfn(bytes_.Number(2)));
    case 3:
      return P2mWord::Foreign(Mfn(bytes_.Number(2)));
    case 4:  // about the largest that PAE can store
      return P2mWord::Ram(Mfn((uint64_t{1} << 30) - 2 + bytes_.Byte() % 4));
    case 5:  // the largest that a list can store
      return P2mWord::Ram(Mfn((uint64_t{1} << 58) - 1 - bytes_.Byte() % 4));
    default:
      return P2mWord::Ram(Mfn(bytes_.Number(3)));
  }
}

P2mList::RangeFill P2mOperations::PickFill() {
  switch (bytes_.Byte() % 3) {
    case 0:
      return P2mList::RangeFill::Missing();
    case 1:
      return P2mList::RangeFill::Identity();
    default:
      return P2mList::RangeFill::Ram(Mfn(bytes_.Number(3)));
  }
}

}  // namespace simvisor
