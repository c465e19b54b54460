// Words in the pages of a guest's p2m list and of its tree.
//
// A page holds little-endian words of the guest's width.  In a list, all ones
// is a missing pfn, the top bit marks a foreign word, and the bit below it an
// identity word (IDENTITY_FRAME_BIT, FOREIGN_FRAME_BIT), at either width.
//
// Thread safety: immutable values.

#ifndef SIMVISOR_CLIENT_WALK_WORD_PAGE_H_
#define SIMVISOR_CLIENT_WALK_WORD_PAGE_H_

#include <cassert>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// Words of the list by class, as a toolstack distinguishes them.
struct WordCounts {
  uint64_t ram = 0;
  uint64_t identity = 0;
  uint64_t foreign = 0;
  uint64_t missing = 0;  // all ones; shared identity leaves read like this, too
  uint64_t abnormal = 0;  // no flag, but past the machine

  uint64_t total() const {
    return ram + identity + foreign + missing + abnormal;
  }
};

class WordFormat {
 public:
  // REQUIRES: word_bytes is 4 or 8.
  WordFormat(uint32_t word_bytes, uint64_t max_mfn)
      : word_bytes_(word_bytes), max_mfn_(max_mfn) {
    assert(word_bytes == 4 || word_bytes == 8);
  }

  // Word `index` of `page`.  A narrow word of all ones widens to 64 ones.
  uint64_t Entry(absl::string_view page, uint64_t index) const;

  // Counts the classes of the first `words` words of `page` and adds them to
  // `counts`, `times` times.
  void Count(absl::string_view page, uint64_t words, uint64_t times,
             WordCounts& counts) const;

 private:
  uint32_t word_bytes_;
  uint64_t max_mfn_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_WALK_WORD_PAGE_H_
