#include "client/walk/word_page.h"

namespace simvisor::client {

uint64_t WordFormat::Entry(absl::string_view page, uint64_t index) const {
  const char* at = page.data() + index * word_bytes_;
  uint64_t word = 0;
  for (uint32_t i = word_bytes_; i > 0; --i) {
    word = word << 8 | static_cast<unsigned char>(at[i - 1]);
  }
  const bool narrow_ones = word_bytes_ == 4 && word == UINT32_MAX;
  return narrow_ones ? UINT64_MAX : word;
}

void WordFormat::Count(absl::string_view page, uint64_t words, uint64_t times,
                       WordCounts& counts) const {
  const uint64_t foreign_bit = uint64_t{1} << (8 * word_bytes_ - 1);
  const uint64_t identity_bit = foreign_bit >> 1;
  WordCounts found;
  for (uint64_t i = 0; i < words; ++i) {
    const uint64_t word = Entry(page, i);
    if (word == UINT64_MAX) {
      ++found.missing;
    } else if (word & identity_bit) {
      ++found.identity;
    } else if (word & foreign_bit) {
      ++found.foreign;
    } else if (word > max_mfn_) {
      ++found.abnormal;
    } else {
      ++found.ram;
    }
  }
  counts.ram += times * found.ram;
  counts.identity += times * found.identity;
  counts.foreign += times * found.foreign;
  counts.missing += times * found.missing;
  counts.abnormal += times * found.abnormal;
}

}  // namespace simvisor::client
