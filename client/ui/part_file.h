// A new file that gets its name only when all its bytes are written.
//
// If the file system supports O_TMPFILE, the file has no name until then and
// disappears with the program, however the program ends.  Otherwise the file
// has a random name that begins with ".simvisor-", created with O_EXCL.  The
// destructor removes it, and so does a signal that ends the program; only
// SIGKILL and a power cut leave it behind.  Either way only its owner can read
// it, and no existing file is opened, followed, changed or removed before the
// new file is published.
//
// Publish() takes these steps.  If the client dies between two of them:
//
//   1. fsync of the file          before: nothing is left of the file
//   2. the file gets its name     before: as in 1.  After: NAME is complete.
//      a) NAME did not exist: link(2) to NAME, which fails if it exists now.
//      b) NAME existed: link(2) to a random name, then renameat2(2) with
//         RENAME_EXCHANGE.  Between the two the random name stays with the new
//         file, after them with the old file.
//      c) The file that b) took out is checked.  If it is not the file that
//         Create() found, another program has written NAME since: the two are
//         exchanged back, the new file is removed, and Publish() fails.  If the
//         client dies before that, both files stay, one of them at the random
//         name.
//      d) unlink of the random name
//   3. fsync of the folder        before: a power cut may lose the new name
//
// Signals wait from 2 to 3, so only SIGKILL and a power cut leave a random
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
#include "client/ui/exit_signals.h"

namespace simvisor::client {

class PartFile {
 public:
  enum class Kind {
    kNameless,  // if the file system supports it, else kNamed
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

  // Gives the file its name, durably.  Call once.  ABORTED if `name` is no
  // longer the file that Create() found; the file that is there now stays.
  // After any other error, the file is at `name` only if the folder's fsync
  // failed.
  absl::Status Publish();

 private:
  PartFile(int folder, std::string name)
      : folder_(folder), name_(std::move(name)), guard_(std::in_place) {}

  absl::Status Open(const std::string& folder, Kind kind);
  // The file at `name` in the folder; nullopt if `name` does not exist.
  std::optional<struct stat> Look(const std::string& name) const;
  // Whether `found` is the file that Create() found at name_.
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
  std::optional<struct stat> old_;  // found by Create(); nullopt for nothing
  int fd_ = -1;
  std::string temporary_;           // its current name; empty without a name
  std::optional<ExitGuard> guard_;  // until it is published
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_PART_FILE_H_
