// Words that are wrong, as messages quote them, and the word that was probably
// meant.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_SIMILAR_WORD_H_
#define SIMVISOR_CLIENT_UI_SIMILAR_WORD_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// `word`, cut to 60 bytes if it has more, such as a line of a file that has no
// words.
std::string ShortWord(absl::string_view word);

// The candidate that the fewest typing errors turn into `word`: characters
// added, left out or wrong, and neighbours swapped.  The first of several;
// empty if it takes more errors than a third of the word's length (at least
// one).
std::string FindSimilar(absl::string_view word,
                        const std::vector<std::string>& candidates);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_SIMILAR_WORD_H_
