// A plain array of 64-bit words in fresh memory from the system.
//
// The baseline for every lookup ratio: the index is the address.  Pages of 4
// KiB are zeroed at the first touch, as for a large malloc; with kHuge the
// system is asked for pages of 2 MiB.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_BENCH_BASELINES_WORD_ARRAY_H_
#define SIMVISOR_BENCH_BASELINES_WORD_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace simvisor::bench {

enum class Pages { kSmall, kHuge };

class WordArray {
 public:
  // `size` words, all zero and untouched.  Ends the program if the system has
  // no address space left.
  explicit WordArray(uint64_t size, Pages pages = Pages::kSmall);

  uint64_t size() const {
    return words_.get_deleter().bytes / sizeof(uint64_t);
  }
  uint64_t& operator[](uint64_t index) { return words_[index]; }
  const uint64_t& operator[](uint64_t index) const { return words_[index]; }
  uint64_t* data() { return words_.get(); }
  const uint64_t* data() const { return words_.get(); }

 private:
  struct Unmap {
    size_t bytes;
    void operator()(uint64_t* words) const;
  };

  std::unique_ptr<uint64_t[], Unmap> words_;
};

}  // namespace simvisor::bench

#endif  // SIMVISOR_BENCH_BASELINES_WORD_ARRAY_H_
