#include "client/xl/xlu_config.h"

#include <cerrno>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

extern "C" {
#include <libxlutil.h>
}
#include "base/status_macros.h"

namespace simvisor::client {

absl::StatusOr<std::unique_ptr<XluConfig>> XluConfig::Parse(
    absl::string_view report_name, absl::string_view text) {
  std::unique_ptr<XluConfig> self(new XluConfig);
  self->report_stream_ = open_memstream(&self->report_, &self->report_size_);
  if (self->report_stream_ == nullptr) {
    return absl::ErrnoToStatus(errno, "cannot make a buffer for a report");
  }
  self->config_ =
      xlu_cfg_init(self->report_stream_, std::string(report_name).c_str());
  if (self->config_ == nullptr) {
    return absl::ResourceExhaustedError("libxlutil: no memory for a config");
  }
  if (xlu_cfg_readdata(self->config_, text.data(),
                       static_cast<int>(text.size())) != 0) {
    return self->Error(absl::StrCat(report_name, ": cannot be parsed"));
  }
  return self;
}

XluConfig::~XluConfig() {
  if (config_ != nullptr) xlu_cfg_destroy(config_);
  if (report_stream_ != nullptr) fclose(report_stream_);
  free(report_);
}

absl::Status XluConfig::Error(absl::string_view fallback) {
  fflush(report_stream_);
  absl::string_view report(report_, report_size_);
  report = absl::StripAsciiWhitespace(report);
  return absl::InvalidArgumentError(report.empty() ? std::string(fallback)
                                                   : std::string(report));
}

bool XluConfig::IsList(const char* key) {
  XLU_ConfigList* list = nullptr;
  int count = 0;
  return xlu_cfg_get_list(config_, key, &list, &count, 1) == 0;
}

absl::StatusOr<std::optional<std::string>> XluConfig::GetString(
    const char* key) {
  const char* value = nullptr;
  const int error = xlu_cfg_get_string(config_, key, &value, 0);
  if (error == ESRCH) return std::nullopt;
  if (error != 0) return Error(absl::StrCat(key, ": must be one string"));
  return std::string(value);
}

absl::StatusOr<std::optional<long>> XluConfig::GetLong(const char* key) {
  long value = 0;
  const int error = xlu_cfg_get_long(config_, key, &value, 0);
  if (error == ESRCH) return std::nullopt;
  if (error != 0) {
    const absl::Status report = Error(absl::StrCat(key, ": must be a number"));
    return absl::InvalidArgumentError(
        absl::StrCat(report.message(), "; ", kNumberRule));
  }
  return value;
}

absl::StatusOr<std::vector<std::string>> XluConfig::GetStrings(
    const char* key) {
  XLU_ConfigList* list = nullptr;
  int count = 0;
  const int error = xlu_cfg_get_list(config_, key, &list, &count, 1);
  if (error == ESRCH) return std::vector<std::string>();
  if (error != 0) {
    SIMVISOR_ASSIGN_OR_RETURN(const std::optional<std::string> single,
                              GetString(key));
    if (!single.has_value()) return std::vector<std::string>();
    return std::vector<std::string>{*single};
  }
  std::vector<std::string> values;
  for (int i = 0; i < count; ++i) {
    const char* value = xlu_cfg_get_listitem(list, i);
    if (value == nullptr) {
      return Error(absl::StrCat(key, "[", i, "]: must be a string"));
    }
    values.push_back(value);
  }
  return values;
}

}  // namespace simvisor::client
