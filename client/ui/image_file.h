// Save images and configurations, told apart by what their files begin with:
// both are arguments of restore, and easily confused.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_IMAGE_FILE_H_
#define SIMVISOR_CLIENT_UI_IMAGE_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// As many bytes as the functions here need of a file, if it has them.
inline constexpr size_t kImageHeaderBytes = 48;

// "0x3/0x0/1234", as xl shows the header of a file that begins with `bytes`;
// empty if the file has no xl header.
std::string XlInfo(absl::string_view bytes);

// Whether a file that begins with `bytes` is an image of one of Xen's layers.
bool IsImage(absl::string_view bytes);

// What `path` is called in messages: "standard input" for "-".
std::string FileText(absl::string_view path);

// An error that names `path` if a file that begins with `bytes` is obviously
// not an image: IMAGE_TRUNCATED if it is empty, IMAGE_MALFORMED if it is text,
// such as a configuration.  The daemon checks everything else.
absl::Status CheckImage(absl::string_view path, absl::string_view bytes);

// The daemon's `error` about the image in `path`, with the name of the file
// instead of "save image".
absl::Status NameImage(absl::string_view path, const absl::Status& error);

// `error` with the name of `path`, which it is about, before its message.
absl::Status NameFile(absl::string_view path, const absl::Status& error);

// INVALID_ARGUMENT with `instead` at its end if `path` is empty: `bytes` are
// its first ones.
absl::Status CheckNotEmpty(absl::string_view path, absl::string_view bytes,
                           absl::string_view instead);

// INVALID_ARGUMENT if `bytes`, the first of `path`, which people write, are
// those of an image, with `instead` at its end, or hold a zero byte.
absl::Status CheckText(absl::string_view path, absl::string_view bytes,
                       absl::string_view instead = "restore takes it");

// The contents of `path`, which people write.  The errors of ReadFile();
// INVALID_ARGUMENT with `instead` at its end if the file is an image, whatever
// its size.
absl::StatusOr<std::string> ReadTextFile(
    const std::string& path, size_t max_bytes,
    absl::string_view instead = "restore takes it");

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_IMAGE_FILE_H_
