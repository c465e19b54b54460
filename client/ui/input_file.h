// A file that the program reads from its first byte to its last: a regular
// file, a pipe (FIFO), or standard input.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_UI_INPUT_FILE_H_
#define SIMVISOR_CLIENT_UI_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace simvisor::client {

class InputFile {
 public:
  // Opens `path`, standard input for "-"; waits for a writer if it is a FIFO.
  // The system's error, after "cannot read PATH: ", or CheckName()'s.
  static absl::StatusOr<InputFile> Open(const std::string& path);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();

  bool IsTerminal() const;

  // Its descriptor, which the file owns.
  int fd() const { return fd_; }

  // Bytes left to read if the system knows, as for a regular file; 0 for a
  // pipe.
  uint64_t size() const { return size_; }

  // Appends the bytes that are available to `data`, at most `max`, and waits
  // until there are some; appends nothing at the end.  The system's error after
  // "cannot read PATH: ".
  absl::Status Read(size_t max, std::string& data);

 private:
  InputFile(std::string path, int fd);

  std::string path_;
  int fd_;  // owned unless it is standard input; -1 once moved from
  uint64_t size_ = 0;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_INPUT_FILE_H_
