#include "client/ui/image_file.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/own_reason.h"
#include "client/api/text_check.h"
#include "client/ui/files.h"

namespace simvisor::client {
namespace {

constexpr absl::string_view kXlMagic = "Xen saved domain, xl format\n";
constexpr absl::string_view kLibxlMagic = "LibxlFmt";
constexpr absl::string_view kLibxcMarker = "\xff\xff\xff\xff\xff\xff\xff\xff";

// Whether `bytes` could be those of a text file.
bool IsText(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return absl::ascii_isprint(byte) || absl::ascii_isspace(byte) ||
           byte >= 0x80;
  });
}

absl::Status CheckNoImage(absl::string_view path, absl::string_view bytes,
                          absl::string_view instead) {
  if (!IsImage(bytes)) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError(absl::StrCat(
                        FileText(path), ": it is a save image; ", instead)),
                    OwnReason::kFileFailed);
}

}  // namespace

std::string XlInfo(absl::string_view bytes) {
  if (bytes.size() < kImageHeaderBytes || !absl::StartsWith(bytes, kXlMagic)) {
    return "";
  }
  const auto number = [bytes](size_t at) {
    uint32_t n = 0;
    for (size_t i = 4; i > 0; --i) {
      n = n << 8 | static_cast<unsigned char>(bytes[at + i - 1]);
    }
    return n;
  };
  return absl::StrFormat("0x%x/0x%x/%d", number(36), number(40), number(44));
}

bool IsImage(absl::string_view bytes) {
  return absl::StartsWith(bytes, kXlMagic) ||
         absl::StartsWith(bytes, kLibxlMagic) ||
         absl::StartsWith(bytes, kLibxcMarker);
}

std::string FileText(absl::string_view path) {
  return path == "-" ? "standard input" : std::string(path);
}

absl::Status CheckImage(absl::string_view path, absl::string_view bytes) {
  if (bytes.empty()) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kImageTruncated,
        absl::StrCat(FileText(path),
                     ": the file is empty; save the domain again"));
  }
  if (IsImage(bytes) || !IsText(bytes)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
      absl::StrCat(FileText(path),
                   ": not a save image: it is a text file, such as a "
                   "configuration; create takes configurations, and restore "
                   "images that save has written"));
}

absl::Status NameImage(absl::string_view path, const absl::Status& error) {
  absl::string_view problem = error.message();
  if (!absl::StartsWith(ReasonOf(error), "IMAGE_") ||
      !absl::ConsumePrefix(&problem, "save image: ")) {
    return error;
  }
  return WithMessage(error, absl::StrCat(FileText(path), ": ", problem));
}

absl::Status NameFile(absl::string_view path, const absl::Status& error) {
  return WithMessage(error,
                     absl::StrCat(FileText(path), ": ", error.message()));
}

absl::Status CheckNotEmpty(absl::string_view path, absl::string_view bytes,
                           absl::string_view instead) {
  if (!bytes.empty()) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError(absl::StrCat(
                        FileText(path), ": it is empty; ", instead)),
                    OwnReason::kFileFailed);
}

absl::Status CheckText(absl::string_view path, absl::string_view bytes,
                       absl::string_view instead) {
  SIMVISOR_RETURN_IF_ERROR(CheckNoImage(path, bytes, instead));
  const size_t zero = bytes.find('\0');
  if (zero == absl::string_view::npos) return absl::OkStatus();
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat(
          FileText(path), ": it is not a text file: byte ", zero, " is zero")),
      OwnReason::kFileFailed);
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path,
                                         size_t max_bytes,
                                         absl::string_view instead) {
  std::string text;
  const absl::Status status = ReadFileInto(path, max_bytes, text);
  SIMVISOR_RETURN_IF_ERROR(CheckNoImage(path, text, instead));
  SIMVISOR_RETURN_IF_ERROR(status);
  return text;
}

}  // namespace simvisor::client
