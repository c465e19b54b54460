// Save images made record by record, valid or broken on purpose.

#ifndef SIMVISOR_TESTS_DOMAIN_IMAGE_IMAGE_RECORDS_H_
#define SIMVISOR_TESTS_DOMAIN_IMAGE_IMAGE_RECORDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "domain/image/image_reader.h"
#include "domain/image/image_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

using testing::ElementsAre;
using testing::HasSubstr;

inline constexpr uint64_t kPfns = 64;
inline constexpr uint64_t kLeafPage = 8;
inline constexpr uint64_t kStartInfo = 9;
inline constexpr uint64_t kGdt = 10;
inline constexpr uint64_t kRoot = 11;

// Records what the reader reports.
class NotingSink : public ImageSink {
 public:
  absl::Status OnConfig(absl::string_view json) override {
    return Note(absl::StrCat("config ", json));
  }
  absl::Status OnArch(Arch arch) override {
    return Note(absl::StrCat("arch ", AbiOf(arch).name));
  }
  absl::Status OnP2mFrames(Pfn last) override {
    return Note(absl::StrCat("p2m to ", last.value()));
  }
  absl::Status OnBatch(absl::Span<const BatchEntry> entries) override {
    return Note(absl::StrCat("batch of ", entries.size()));
  }
  absl::Status OnPage(BatchEntry, absl::Span<const char>) override {
    ++pages_seen;
    return absl::OkStatus();
  }
  absl::Status OnEnd(const VcpuPages& boot_vcpu) override {
    return Note(absl::StrCat("end ", boot_vcpu.start_info.value(), " ",
                             boot_vcpu.cr3.value()));
  }

  std::vector<std::string> notes;
  int pages_seen = 0;

 private:
  absl::Status Note(std::string note) {
    notes.push_back(std::move(note));
    return absl::OkStatus();
  }
};

struct Record {
  RecordType type;
  std::string body;
};
using Records = std::vector<Record>;

inline std::string Le(uint64_t number, size_t bytes) {
  std::string out(bytes, '\0');
  StoreLe(number, bytes, out.data());
  return out;
}

inline std::string PageWord(uint64_t pfn, uint64_t type) {
  return Le(type << kPageTypeShift | pfn, 8);
}

inline std::string VcpuContext(Arch arch) {
  const GuestLayout& layout = LayoutOf(arch);
  std::string context(layout.context_bytes, '\0');
  const auto put = [&](size_t at, uint64_t number) {
    StoreLe(number, layout.width, &context[at]);
  };
  put(layout.start_info, kStartInfo);
  put(layout.gdt_frames, kGdt);
  put(layout.gdt_entries, 16);
  put(layout.cr3, kRoot << kPageShift);
  return context;
}

inline std::string VcpuBody(uint32_t vcpu, const std::string& blob) {
  return Le(vcpu, 4) + Le(0, 4) + blob;
}

// A batch of the four pages that a guest must have, `root` of this type.
inline std::string FourPages(uint64_t root) {
  return Le(4, 8) + PageWord(kLeafPage, 0) + PageWord(kStartInfo, 0) +
         PageWord(kGdt, 0) + PageWord(kRoot, root) +
         std::string(4 * kPageSize, '\0');
}

inline Records Sound(Arch arch = Arch::kX86_64) {
  const GuestLayout& layout = LayoutOf(arch);
  const uint64_t root = 8 | layout.levels;
  return {{RecordType::kX86PvInfo,
           Le(layout.width, 1) + Le(layout.levels, 1) + Le(0, 6)},
          {RecordType::kStaticDataEnd, ""},
          {RecordType::kX86PvP2mFrames,
           Le(0, 4) + Le(kPfns - 1, 4) + Le(kLeafPage, 8)},
          {RecordType::kPageData, FourPages(root)},
          {RecordType::kX86TscInfo, std::string(24, '\0')},
          {RecordType::kSharedInfo, std::string(kPageSize, '\0')},
          {RecordType::kX86PvVcpuBasic, VcpuBody(0, VcpuContext(arch))},
          {RecordType::kEnd, ""}};
}

inline std::string Bytes(const Records& records,
                         uint32_t version = kImageVersion) {
  std::string image;
  AppendImageStart(ImageLayer::kLibxc, "", image);
  StoreBe(version, 4, &image[12]);
  for (const Record& record : records) {
    AppendRecord(record.type, record.body, image);
  }
  return image;
}

inline absl::Status ReadAll(const std::string& image,
                            NotingSink* sink = nullptr) {
  NotingSink own;
  ImageReader reader(sink != nullptr ? *sink : own);
  reader.SetVcpus(2);
  const absl::Status status = reader.Feed(image);
  return status.ok() ? reader.Finish() : status;
}

inline auto Malformed(absl::string_view what) {
  return IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                 HasSubstr(std::string(what)));
}
inline auto Unsupported(absl::string_view what) {
  return IsError(absl::StatusCode::kInvalidArgument, Reason::kImageUnsupported,
                 HasSubstr(std::string(what)));
}

// The valid image with `change` applied to its records.
template <typename Change>
inline absl::Status ReadChanged(Change change) {
  Records records = Sound();
  change(records);
  return ReadAll(Bytes(records));
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_IMAGE_IMAGE_RECORDS_H_
