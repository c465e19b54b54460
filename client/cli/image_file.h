// A file that a save image is stored in: whole, or not at all.
//
// Bytes go to PATH.part, which takes the place of PATH once all of them are on
// the disk; a save that ends early leaves PATH as it was.  What is no regular
// file (a pipe, a device) is written to as it is.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_CLI_IMAGE_FILE_H_
#define SIMVISOR_CLIENT_CLI_IMAGE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

class ImageFile {
 public:
  // Opens PATH.part, or PATH; standard output for "-".  The system's error,
  // after "cannot write PATH: ".
  static absl::StatusOr<ImageFile> Create(const std::string& path);

  ImageFile(ImageFile&& other) noexcept;
  ImageFile& operator=(ImageFile&&) = delete;
  // Removes what was written, unless it has been committed.
  ~ImageFile();

  absl::Status Append(absl::string_view data);
  // Makes PATH hold what was appended, for good.
  absl::Status Commit();

 private:
  ImageFile(std::string path, bool in_place);

  absl::Status Error() const;

  std::string path_;
  bool in_place_;  // no PATH.part
  int fd_ = -1;    // -1 once committed or moved from
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_CLI_IMAGE_FILE_H_
