// Reads lines of a file or of standard input as they arrive.
//
// Thread safety: Read() from one thread; Stop() from any.

#ifndef SIMVISOR_CLIENT_UI_LINE_READER_H_
#define SIMVISOR_CLIENT_UI_LINE_READER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace simvisor::client {

class LineReader {
 public:
  static constexpr size_t kMaxLineBytes = size_t{4} << 20;

  // Reads `path`, standard input for "-".  The system's error, after "cannot
  // read PATH: ", or CheckName()'s.
  static absl::StatusOr<std::unique_ptr<LineReader>> Open(
      const std::string& path);
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader();

  // Fills `lines` with the next lines, without their line feeds: those that are
  // available, at most `max`.  Waits until there is one, unless Stop() has been
  // called.  Leaves `lines` empty at the end of the file.  The last line needs
  // no line feed.  INVALID_ARGUMENT for a line of more than kMaxLineBytes, and
  // if CheckText() refuses the first bytes that could be read.
  absl::Status Read(size_t max, std::vector<std::string>& lines);

  // Ends a waiting Read(); later ones do not wait.
  void Stop();

 private:
  LineReader(std::string path, int file, int wake_read, int wake_write)
      : path_(std::move(path)),
        file_(file),
        wake_read_(wake_read),
        wake_write_(wake_write) {}

  // Waits for more bytes of the file and appends them to rest_; false at its
  // end.
  absl::StatusOr<bool> Fill();

  // Constant after construction.
  const std::string path_;
  const int file_;  // owned unless it is standard input
  const int wake_read_;
  const int wake_write_;

  std::string rest_;  // read and not yet given out, from start_ on
  size_t start_ = 0;
  bool first_ = true;  // nothing has been read
  bool ended_ = false;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_LINE_READER_H_
