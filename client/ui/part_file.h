// A new file that gets its name only when all its bytes are written.
//
// If the file system supports O_TMPFILE, the file has no name until then and
// disappears with the program, however that ends.  Otherwise it has a random
// name that begins with ".simvisor-", created with O_EXCL, and is removed with
// the object or by a signal that ends the program; only SIGKILL and a power cut
// leave it behind.  Either way only its owner can read it, and no existing file
// is opened, followed, changed or removed before it is published.
//
// Publish() is these steps; the client may die between any two:
//
//   1. fsync of the file          before: nothing is left of it
//   2. the file gets its name     before: as 1.  After: NAME is whole.
//      a) NAME was not there: link(2) to NAME, which fails if it is there now.
//      b) NAME was there: link(2) to a random name, then renameat2(2) with
//         RENAME_EXCHANGE.  Between the two the random name is left, with the
//         new file; after them with the old one.
//      c) what b) took out is checked.  If it is not the file that was there
//         when the object was made, another program has written NAME since:
//         it is exchanged back, the new file is removed, and Publish() fails.
//         If the client dies before that, both are left, one of them at the
//         random name.
//      d) unlink of the random name
//   3. fsync of the folder        before: a power cut may take the new name
//
// Signals wait from 2 to 3, so that only SIGKILL and a power cut leave a random
// name.  On a file system without RENAME_EXCHANGE (NFS), b) to d) are a check
// of NAME and a rename(2), with a moment between them.
//
// Thread safety: thread-compatible; at most one in a process.

#ifndef SIMVISOR_CLIENT_UI_PART_FILE_H_
#define SIMVISOR_CLIENT_UI_PART_FILE_H_

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/ui/exit_guard.h"

namespace simvisor::client {

class PartFile {
 public:
  enum class Kind {
    kNameless,  // if the file system can, else kNamed
    kNamed,
  };

  // A new file for `name` in `folder`; remembers which file `name` is now.  The
  // system's error if no file can be created in `folder`, or if `name` exists
  // but is not a regular file that the program may write.
  static absl::StatusOr<std::unique_ptr<PartFile>> Create(
      const std::string& folder, const std::string& name,
      Kind kind = Kind::kNameless);

  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  // Removes the file unless it has been published.
  ~PartFile();

  // The descriptor to write to.
  int fd() const { return fd_; }

  // Makes `name` this file, durably.  Call once.  ABORTED if `name` is not the
  // file that it was at first; what is there now stays.  After any other error
  // the file is at `name` only if the folder's fsync failed.
  absl::Status Publish();

 private:
  PartFile(int folder, std::string name)
      : folder_(folder), name_(std::move(name)), guard_(std::in_place) {}

  absl::Status Open(const std::string& folder, Kind kind);
  // Which file is at `name` in the folder; nullopt if there is none.
  std::optional<struct stat> Look(const std::string& name) const;
  // Whether `found` is the file that was at name_ at first.
  bool IsOld(const struct stat& found) const;
  bool IsMine(const struct stat& found) const;

  absl::Status PublishSteps();
  absl::Status MoveToName();
  // Steps a, and b to d; an errno, 0 for success.
  int PutNew();
  int Replace();
  int TakeTemporaryName();
  void RemoveTemporary();

  const int folder_;                // owned
  const std::string name_;          // within it
  std::optional<struct stat> old_;  // what was at name_; nullopt for nothing
  int fd_ = -1;
  std::string temporary_;           // the name it has now; empty if none
  std::optional<ExitGuard> guard_;  // until it is published
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_PART_FILE_H_
