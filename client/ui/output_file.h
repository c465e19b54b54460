// A file that the program writes for its user, completely or not at all.
//
// What PATH names decides how it is written:
//
//   nothing, a file    a new file takes its place when it is complete and on
//                      disk (client/ui/part_file.h): mode 0600, owned by the
//                      user.  A file that may not be written is refused, as by
//                      open(2).
//   a symbolic link    stays; its target is replaced.
//   a pipe, a device   written to directly, and so is standard output, "-".
//   a terminal         refused: it would show the bytes and lose them.
//   a folder           refused.
//
// Thread safety: thread-compatible; one at a time in the process.

#ifndef SIMVISOR_CLIENT_UI_OUTPUT_FILE_H_
#define SIMVISOR_CLIENT_UI_OUTPUT_FILE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/ui/exit_signals.h"
#include "client/ui/part_file.h"

namespace simvisor::client {

class OutputFile {
 public:
  // Opens PATH without changing it.  The system's error after "cannot write
  // PATH: "; a UsageError() for a terminal or an empty PATH.
  static absl::StatusOr<OutputFile> Create(
      const std::string& path, PartFile::Kind kind = PartFile::Kind::kNameless);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  // Removes what was written, unless it has been committed.
  ~OutputFile();

  absl::Status Append(absl::string_view data);
  // The same, but CANCELLED if a signal has come, or comes while PATH takes no
  // more bytes, such as a pipe that is not read; PATH then has none or a part
  // of the bytes.
  absl::Status Append(absl::string_view data, const Interruption& interruption);
  // Append() and Commit() in one call.
  absl::Status Finish(absl::string_view data);

  // Whether PATH gets the bytes as they are appended, and not by Commit().
  bool in_place() const { return part_ == nullptr; }

  // Gives PATH the appended bytes, and waits until they are on disk, if PATH is
  // on a disk.  ABORTED if another program has written PATH since Create();
  // PATH then keeps what that program wrote.
  absl::Status Commit();

 private:
  explicit OutputFile(std::string path) : path_(std::move(path)) {}

  absl::Status OpenInPlace();
  absl::Status OpenPart(bool exists, PartFile::Kind kind);
  // `status` after "cannot write PATH: ".
  absl::Status Explain(const absl::Status& status) const;
  absl::Status Error() const;  // of errno

  std::string path_;
  std::unique_ptr<PartFile> part_;  // null: written in place
  int fd_ = -1;                     // owned unless it is the part's
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_OUTPUT_FILE_H_
