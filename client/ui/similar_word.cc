#include "client/ui/similar_word.h"

#include <algorithm>
#include <cstddef>

#include "base/quote.h"

namespace simvisor::client {
namespace {

// The restricted Damerau-Levenshtein distance.
size_t TypingErrors(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> errors(a.size() + 1,
                                          std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        errors[i][j] = i + j;
        continue;
      }
      const size_t wrong = a[i - 1] == b[j - 1] ? 0 : 1;
      errors[i][j] = std::min({errors[i - 1][j] + 1, errors[i][j - 1] + 1,
                               errors[i - 1][j - 1] + wrong});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        errors[i][j] = std::min(errors[i][j], errors[i - 2][j - 2] + 1);
      }
    }
  }
  return errors[a.size()][b.size()];
}

}  // namespace

std::string ShortWord(absl::string_view word) {
  constexpr size_t kMaxBytes = 60;
  return Shortened(word, kMaxBytes);
}

std::string FindSimilar(absl::string_view word,
                        const std::vector<std::string>& candidates) {
  std::string similar;
  size_t fewest = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    // Saves the work for arguments of any length.
    const size_t most = std::max(word.size(), candidate.size());
    if (most - std::min(word.size(), candidate.size()) >= fewest) continue;
    const size_t errors = TypingErrors(word, candidate);
    if (errors >= fewest) continue;
    fewest = errors;
    similar = candidate;
  }
  return similar;
}

}  // namespace simvisor::client
