// What a list held and when, according to its writer, and what readers saw.
//
// A writer brackets each of its operations with Begin() and End().  Readers
// read a counter, which is odd in between, before and after each lookup.  When
// all threads have ended, every answer is compared with the words that the list
// may have held between the two readings.  Also, a reader must never see an
// older word after a newer one.
//
// Why this is sound: the counter is accessed only by read-modify-write
// operations with acquire-release order, so they form one sequence in which
// each synchronises with all before it.  If a reader's first one comes after
// the end of an operation, what it stored happened before the lookup, which
// then cannot answer an older word; if its last one comes before the beginning
// of an operation, the lookup happened before what that stores.
//
// Thread safety: Now() from any thread; the rest only from the writer, and from
// any thread once all threads have been joined.

#ifndef SIMVISOR_TESTS_DOMAIN_P2M_WORD_HISTORY_H_
#define SIMVISOR_TESTS_DOMAIN_P2M_WORD_HISTORY_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "domain/units/p2m_word.h"
#include "gtest/gtest.h"

namespace simvisor {

class WordHistory {
 public:
  // An answer for watched pfn number `place`, between two readings of Now().
  struct Answer {
    uint64_t before, after;
    uint32_t place;
    P2mWord word;
  };

  // `words` are those of the watched pfns before any operation.
  explicit WordHistory(const std::vector<P2mWord>& words) {
    for (const P2mWord word : words) versions_.push_back({{0, word}});
  }

  uint64_t Now() { return clock_.fetch_add(0, std::memory_order_acq_rel); }

  void Begin() { clock_.fetch_add(1, std::memory_order_acq_rel); }
  // `words` are the present ones.
  void End(const std::vector<P2mWord>& words) {
    const uint64_t now = clock_.fetch_add(1, std::memory_order_acq_rel) + 1;
    for (size_t place = 0; place < words.size(); ++place) {
      std::vector<Version>& versions = versions_[place];
      if (versions.back().word != words[place]) {
        versions.push_back({OperationsEnded(now), words[place]});
      }
    }
  }

  // Operations that had ended, and that had begun, when Now() was `now`.
  static uint64_t OperationsEnded(uint64_t now) { return now / 2; }
  static uint64_t OperationsBegun(uint64_t now) { return (now + 1) / 2; }

  uint64_t changes() const {
    uint64_t count = 0;
    for (const auto& versions : versions_) count += versions.size() - 1;
    return count;
  }

  // Checks the answers that one reader got, in order.  Returns how many differ
  // from the word that was there when the lookup began, or may differ: those
  // that really raced.
  uint64_t Check(const std::vector<Answer>& answers) const {
    std::vector<size_t> seen(versions_.size(), 0);  // version last answered
    uint64_t raced = 0;
    for (const Answer& answer : answers) {
      const std::vector<Version>& versions = versions_[answer.place];
      const size_t oldest =
          VersionAfter(answer.place, OperationsEnded(answer.before));
      const size_t newest =
          VersionAfter(answer.place, OperationsBegun(answer.after));
      raced += oldest != newest ? 1 : 0;
      size_t version = std::max(oldest, seen[answer.place]);
      while (version <= newest && versions[version].word != answer.word) {
        ++version;
      }
      if (version > newest) {
        ADD_FAILURE() << "place " << answer.place << " answered "
                      << answer.word.ToString() << " between " << answer.before
                      << " and " << answer.after << ", but held "
                      << versions[oldest].word.ToString() << " to "
                      << versions[newest].word.ToString();
        return raced;
      }
      seen[answer.place] = version;
    }
    return raced;
  }

 private:
  struct Version {
    uint64_t operation;  // that put the word there, from 1 on
    P2mWord word;
  };

  // The version that is there when `operations` operations have ended.
  size_t VersionAfter(uint32_t place, uint64_t operations) const {
    const std::vector<Version>& versions = versions_[place];
    const auto next =
        std::upper_bound(versions.begin(), versions.end(), operations,
                         [](uint64_t n, const Version& version) {
                           return n < version.operation;
                         });
    return static_cast<size_t>(next - versions.begin()) - 1;
  }

  std::atomic<uint64_t> clock_ = 0;
  std::vector<std::vector<Version>> versions_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_P2M_WORD_HISTORY_H_
