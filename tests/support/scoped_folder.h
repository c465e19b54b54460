// A new folder for one test, removed afterwards with everything in it.

#ifndef SIMVISOR_TESTS_SUPPORT_SCOPED_FOLDER_H_
#define SIMVISOR_TESTS_SUPPORT_SCOPED_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace simvisor {

class ScopedFolder {
 public:
  ScopedFolder() {
    // Short, since socket paths must be.
    std::string path = std::filesystem::temp_directory_path() / "svXXXXXX";
    if (mkdtemp(path.data()) != nullptr) path_ = path;
  }
  ScopedFolder(const ScopedFolder&) = delete;
  ScopedFolder& operator=(const ScopedFolder&) = delete;
  ~ScopedFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  // Empty if the folder could not be made.
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_SCOPED_FOLDER_H_
