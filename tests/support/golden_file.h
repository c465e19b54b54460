// Compares text that a test makes with a file under tests/testdata/goldens/.
//
// The file records the present behaviour.  To change it on purpose, run the
// test with SIMVISOR_UPDATE_GOLDENS=1, and read the diff before committing it.
// A test that has rewritten its file fails, so that no run passes that way.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_SUPPORT_GOLDEN_FILE_H_
#define SIMVISOR_TESTS_SUPPORT_GOLDEN_FILE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"

namespace simvisor {

// Lines that are only in one of two texts, as "-12: old" and "+13: new", each
// with its number in its own text.
class LineDiff {
 public:
  LineDiff(absl::string_view before, absl::string_view after)
      : before_(absl::StrSplit(before, '\n')),
        after_(absl::StrSplit(after, '\n')) {
    CutSame();
    // The table below takes four bytes per cell.
    constexpr size_t kMaxCells = size_t{1} << 24;
    if ((before_end_ - begin_ + 1) * (after_end_ - begin_ + 1) > kMaxCells) {
      for (size_t i = begin_; i < before_end_; ++i) Removed(i);
      for (size_t i = begin_; i < after_end_; ++i) Added(i);
    } else {
      Compare();
    }
  }

  const std::vector<std::string>& lines() const { return lines_; }

 private:
  // Leaves out what is the same at the start and at the end.
  void CutSame() {
    before_end_ = before_.size();
    after_end_ = after_.size();
    while (begin_ < std::min(before_end_, after_end_) &&
           before_[begin_] == after_[begin_]) {
      ++begin_;
    }
    while (std::min(before_end_, after_end_) > begin_ &&
           before_[before_end_ - 1] == after_[after_end_ - 1]) {
      --before_end_;
      --after_end_;
    }
  }

  // Walks along a longest common subsequence.
  void Compare() {
    const size_t width = after_end_ - begin_ + 1;
    std::vector<uint32_t> common((before_end_ - begin_ + 1) * width);
    const auto at = [&](size_t i, size_t j) -> uint32_t& {
      return common[(i - begin_) * width + (j - begin_)];
    };
    for (size_t i = before_end_; i-- > begin_;) {
      for (size_t j = after_end_; j-- > begin_;) {
        at(i, j) = before_[i] == after_[j]
                       ? at(i + 1, j + 1) + 1
                       : std::max(at(i + 1, j), at(i, j + 1));
      }
    }
    size_t i = begin_;
    size_t j = begin_;
    while (i < before_end_ && j < after_end_) {
      if (before_[i] == after_[j]) {
        ++i;
        ++j;
      } else if (at(i + 1, j) >= at(i, j + 1)) {
        Removed(i++);
      } else {
        Added(j++);
      }
    }
    while (i < before_end_) Removed(i++);
    while (j < after_end_) Added(j++);
  }

  void Removed(size_t i) {
    lines_.push_back(absl::StrCat("-", i + 1, ": ", before_[i]));
  }
  void Added(size_t j) {
    lines_.push_back(absl::StrCat("+", j + 1, ": ", after_[j]));
  }

  const std::vector<absl::string_view> before_;
  const std::vector<absl::string_view> after_;
  size_t begin_ = 0;
  size_t before_end_ = 0;
  size_t after_end_ = 0;
  std::vector<std::string> lines_;
};

inline std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Fails unless the file `name` holds `text`; when updating, rewrites the file
// and fails.
inline void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = "tests/testdata/goldens/" + name;
  const std::string golden = ReadFile(path).value_or("");
  const char* const update = std::getenv("SIMVISOR_UPDATE_GOLDENS");
  if (update != nullptr && absl::string_view(update) == "1") {
    std::filesystem::create_directories(
        std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    ADD_FAILURE() << path << (golden == text ? " is the same" : " is rewritten")
                  << "; read the diff, and run without "
                     "SIMVISOR_UPDATE_GOLDENS";
    return;
  }
  if (golden == text) return;
  constexpr size_t kMaxLines = 200;
  const LineDiff diff(golden, text);
  std::string shown;
  for (size_t i = 0; i < std::min(diff.lines().size(), kMaxLines); ++i) {
    absl::StrAppend(&shown, diff.lines()[i], "\n");
  }
  ADD_FAILURE() << path << " (-) is not what the test finds (+), "
                << diff.lines().size()
                << " lines differ; if that is meant, set "
                   "SIMVISOR_UPDATE_GOLDENS=1:\n"
                << shown;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_GOLDEN_FILE_H_
