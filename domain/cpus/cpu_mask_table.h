// One table of words that holds the mask of every single CPU.
//
// With B bits in a word and W words in a mask, the table has B + 1 rows of W
// words: row 0 is all zeros, row 1 + x has bit x set in its first word and
// zeros after it.  The mask of CPU c is a window of W words that begins c / B
// words before row 1 + c % B: the words before that row are the tail of the row
// above, whose one bit is in its first word and so never in the window.
//
//   B = 4, W = 3, CPU 6:   row 2  0100 0000 0000
//                          row 3  0010 0000 0000
//   window, one word back            [0000 0010 0000]  bit 2 of word 1
//
// So 4096 CPUs take 65 rows of 512 bytes, 33280 bytes in all, where a mask for
// each would take 2 MiB.  Windows are not aligned to rows and are read-only.
// Row 0 is also the empty mask.  Source: cpu_bit_bitmap, get_cpu_mask() in
// Linux (kernel/cpu.c, include/linux/cpumask.h); p2m.md F.

#ifndef SIMVISOR_DOMAIN_CPUS_CPU_MASK_TABLE_H_
#define SIMVISOR_DOMAIN_CPUS_CPU_MASK_TABLE_H_

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "absl/types/span.h"

namespace simvisor {

// The size of a table, and of one mask per CPU in its place.
struct CpuMaskTableSize {
  uint32_t cpus = 0;
  uint32_t rows = 0;
  uint64_t row_bytes = 0;  // also the size of one mask
  uint64_t table_bytes = 0;
  uint64_t naive_bytes = 0;
};

// `Word` is the kernel's unsigned long: 64 bits, or 32 on PAE.
template <typename Word>
class CpuMaskTable {
  static_assert(std::is_unsigned_v<Word>);

 public:
  static constexpr uint32_t kWordBits = std::numeric_limits<Word>::digits;

  // REQUIRES: cpus is at least 1.
  explicit CpuMaskTable(uint32_t cpus)
      : cpus_(cpus),
        row_words_((size_t{cpus} + kWordBits - 1) / kWordBits),
        words_((kWordBits + 1) * row_words_) {
    assert(cpus > 0);
    for (uint32_t bit = 0; bit < kWordBits; ++bit) {
      words_[(bit + 1) * row_words_] = Word{1} << bit;
    }
  }

  uint32_t cpus() const { return cpus_; }

  // The mask that contains only `cpu`.
  // REQUIRES: cpu < cpus().
  absl::Span<const Word> Mask(uint32_t cpu) const {
    assert(cpu < cpus_);
    return {words_.data() + WindowStart(cpu), row_words_};
  }

  // Row 0, the empty mask.
  absl::Span<const Word> Empty() const { return {words_.data(), row_words_}; }

  // The index of the first word of Mask(cpu) in the table.
  size_t WindowStart(uint32_t cpu) const {
    return BitWord(cpu) - cpu / kWordBits;
  }

  // The index of the word that holds the bit of Mask(cpu).
  size_t BitWord(uint32_t cpu) const {
    return (1 + cpu % kWordBits) * row_words_;
  }

  CpuMaskTableSize Size() const {
    const uint64_t row_bytes = uint64_t{row_words_} * sizeof(Word);
    return {.cpus = cpus_,
            .rows = kWordBits + 1,
            .row_bytes = row_bytes,
            .table_bytes = uint64_t{words_.size()} * sizeof(Word),
            .naive_bytes = cpus_ * row_bytes};
  }

 private:
  const uint32_t cpus_;
  const size_t row_words_;
  std::vector<Word> words_;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_CPUS_CPU_MASK_TABLE_H_
