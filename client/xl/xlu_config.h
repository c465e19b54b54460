// libxlutil's XLU_Config as a C++ object.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_XL_XLU_CONFIG_H_
#define SIMVISOR_CLIENT_XL_XLU_CONFIG_H_

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// libxlutil.h has no C++ guard; this is its opaque type.
struct XLU_Config;

namespace simvisor::client {

// What a number in one of xl's files must be.
inline constexpr char kNumberRule[] =
    "numbers are whole, not negative and below 2^63, decimal or 0x..., and "
    "have no unit; memory and maxmem are in MiB";

class XluConfig {
 public:
  // Parses `text`.  On an error, INVALID_ARGUMENT with libxlutil's report,
  // whose lines begin with `report_name`.
  static absl::StatusOr<std::unique_ptr<XluConfig>> Parse(
      absl::string_view report_name, absl::string_view text);

  ~XluConfig();
  XluConfig(const XluConfig&) = delete;
  XluConfig& operator=(const XluConfig&) = delete;

  // True iff the value of `key` is a list.
  bool IsList(const char* key);

  // The value of `key`; nullopt if it is not assigned.  INVALID_ARGUMENT, with
  // libxlutil's report, if it has another type.
  absl::StatusOr<std::optional<std::string>> GetString(const char* key);
  absl::StatusOr<std::optional<long>> GetLong(const char* key);
  // A list of strings; a single string counts as a list of one, as in xl.
  absl::StatusOr<std::vector<std::string>> GetStrings(const char* key);

 private:
  XluConfig() = default;

  absl::Status Error(absl::string_view fallback);

  // libxlutil writes its report here; the buffer belongs to the stream.
  char* report_ = nullptr;
  size_t report_size_ = 0;
  FILE* report_stream_ = nullptr;
  XLU_Config* config_ = nullptr;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_XLU_CONFIG_H_
