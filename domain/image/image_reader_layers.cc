// What surrounds the records of a save image: headers and layers.

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/image/image_reader.h"

namespace simvisor {

absl::Status ImageReader::TakeLayer(absl::string_view unit) {
  buffer_.assign(unit.data(), unit.size());
  offset_ -= unit.size();
  if (unit == kXlMagic.substr(0, unit.size())) {
    layer_ = ImageLayer::kXl;
    Expect(State::kXlHeader, kXlHeaderBytes);
  } else if (LoadBe(unit.data(), 8) == kLibxlId) {
    layer_ = ImageLayer::kLibxl;
    Expect(State::kLibxlHeader, kLibxlHeaderBytes);
  } else if (LoadBe(unit.data(), 8) == kImageMarker) {
    Expect(State::kImageHeader, kImageHeaderBytes);
  } else {
    buffer_.clear();
    return Malformed(absl::StrFormat("not a save image: starts with 0x%016x",
                                     LoadBe(unit.data(), 8)));
  }
  return absl::OkStatus();
}

absl::Status ImageReader::TakeXlHeader(absl::string_view unit) {
  if (unit.substr(0, kXlMagic.size()) != kXlMagic) {
    return Malformed("its first bytes are not those of an xl save file");
  }
  const char* const numbers = unit.data() + kXlMagic.size();
  if (LoadLe(numbers, 4) != kXlByteOrder) {
    return Refuse(Reason::kImageUnsupported,
                  "it was made on a machine of another byte order");
  }
  const uint64_t flags = LoadLe(numbers + 4, 4);
  if ((flags & ~uint64_t{kXlConfigIsJson | kXlStreamIsV2}) != 0) {
    return Malformed(
        absl::StrFormat("mandatory flags 0x%x: only 0x3 are known", flags));
  }
  if (flags != (kXlConfigIsJson | kXlStreamIsV2)) {
    return Refuse(Reason::kImageUnsupported,
                  absl::StrFormat("mandatory flags 0x%x: only files with a "
                                  "JSON configuration and a stream of version "
                                  "2, 0x3, are read",
                                  flags));
  }
  const uint64_t bytes = LoadLe(numbers + 12, 4);
  if (bytes < 4 || bytes > kMaxConfigBytes) {
    return Malformed(
        absl::StrFormat("its optional data has %d bytes; there "
                        "must be 4 to %d",
                        bytes, kMaxConfigBytes));
  }
  Expect(State::kXlData, bytes);
  return absl::OkStatus();
}

absl::Status ImageReader::TakeXlData(absl::string_view unit) {
  const uint64_t bytes = LoadLe(unit.data(), 4);
  if (bytes > unit.size() - 4) {
    return Malformed(
        absl::StrFormat("its configuration has %d bytes, and %d follow", bytes,
                        unit.size() - 4));
  }
  absl::string_view config = unit.substr(4, bytes);
  if (!config.empty() && config.back() == '\0') config.remove_suffix(1);
  SIMVISOR_RETURN_IF_ERROR(sink_.OnConfig(config));
  Expect(State::kLibxlHeader, kLibxlHeaderBytes);
  return absl::OkStatus();
}

absl::Status ImageReader::TakeLibxlHeader(absl::string_view unit) {
  if (LoadBe(unit.data(), 8) != kLibxlId) {
    return Malformed(absl::StrFormat("the libxl stream begins with 0x%016x",
                                     LoadBe(unit.data(), 8)));
  }
  const uint64_t version = LoadBe(unit.data() + 8, 4);
  if (version != kLibxlVersion) {
    return Malformed(
        absl::StrFormat("the libxl stream is of version %d; only "
                        "%d is known",
                        version, kLibxlVersion));
  }
  if ((LoadBe(unit.data() + 12, 4) & kOptionBigEndian) != 0) {
    return Refuse(Reason::kImageUnsupported,
                  "the libxl stream is of another byte order");
  }
  Expect(State::kLibxlRecord, kRecordHeaderBytes);
  return absl::OkStatus();
}

absl::Status ImageReader::TakeLibxlRecord(absl::string_view unit) {
  const uint64_t type = LoadLe(unit.data(), 4);
  const uint64_t bytes = LoadLe(unit.data() + 4, 4);
  const bool begun = version_ != 0;
  if (type > kLibxlLastKnown) {
    return Malformed(absl::StrFormat("libxl record 0x%x is not known", type));
  }
  if (type != (begun ? kLibxlEnd : kLibxlContext)) {
    return Refuse(
        type == kLibxlEnd || type == kLibxlContext ? Reason::kImageMalformed
                                                   : Reason::kImageUnsupported,
        absl::StrFormat("libxl record %d: a PV guest's stream has its libxc "
                        "stream, 1, and then its end, 0",
                        type));
  }
  if (bytes != 0) {
    return Malformed(absl::StrFormat(
        "libxl record %d has %d bytes; it must be empty", type, bytes));
  }
  if (begun) {
    Expect(State::kDone, 0);
  } else {
    Expect(State::kImageHeader, kImageHeaderBytes);
  }
  return absl::OkStatus();
}

absl::Status ImageReader::TakeImageHeader(absl::string_view unit) {
  if (LoadBe(unit.data(), 8) != kImageMarker ||
      LoadBe(unit.data() + 8, 4) != kImageId) {
    return Malformed(absl::StrFormat(
        "the libxc stream begins with 0x%016x and id 0x%08x; they must be all "
        "ones and 0x%08x",
        LoadBe(unit.data(), 8), LoadBe(unit.data() + 8, 4), kImageId));
  }
  version_ = static_cast<uint32_t>(LoadBe(unit.data() + 12, 4));
  if (version_ < kOldestImageVersion || version_ > kImageVersion) {
    return Malformed(absl::StrFormat(
        "the libxc stream is of version %d; %d and %d are known", version_,
        kOldestImageVersion, kImageVersion));
  }
  if ((LoadBe(unit.data() + 16, 2) & kOptionBigEndian) != 0) {
    return Refuse(Reason::kImageUnsupported,
                  "the libxc stream is of another byte order");
  }
  Expect(State::kDomainHeader, kDomainHeaderBytes);
  return absl::OkStatus();
}

absl::Status ImageReader::TakeDomainHeader(absl::string_view unit) {
  const uint64_t type = LoadLe(unit.data(), 4);
  if (type != kDomainX86Pv) {
    return Refuse(type == kDomainX86Hvm ? Reason::kImageUnsupported
                                        : Reason::kImageMalformed,
                  absl::StrFormat("the domain is of type %d; only x86 PV "
                                  "domains, 1, are simulated",
                                  type));
  }
  const uint64_t shift = LoadLe(unit.data() + 4, 2);
  if (shift != kPageShift) {
    return Malformed(absl::StrFormat(
        "pages of 2^%d bytes; those of x86 have 2^%d", shift, kPageShift));
  }
  Expect(State::kRecordHeader, kRecordHeaderBytes);
  return absl::OkStatus();
}

}  // namespace simvisor
