#include "base/unix_target.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace simvisor {

std::string UnixTarget(absl::string_view path) {
  std::string target = "unix:";
  for (const char byte : path) {
    const bool plain =
        absl::ascii_isalnum(byte) ||
        absl::string_view("-._~/").find(byte) != absl::string_view::npos;
    if (plain) {
      target.push_back(byte);
    } else {
      absl::StrAppendFormat(&target, "%%%02X",
                            static_cast<unsigned char>(byte));
    }
  }
  return target;
}

}  // namespace simvisor
