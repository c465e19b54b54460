// The virtual CPUs of a save image, and the checks at its end.

#include <string>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/image/image_reader.h"

namespace simvisor {
namespace {

// Leaves checked between two calls of the StopCheck.
constexpr size_t kLeavesPerStop = 4096;

// The page that a CR3 names; a 32-bit CR3 has the high bits of the frame at the
// bottom.
Pfn PageOfCr3(Arch arch, uint64_t cr3) {
  if (arch == Arch::kX86_64) return Pfn(cr3 >> kPageShift);
  return Pfn(((cr3 >> kPageShift) | (cr3 << (32 - kPageShift))) & ~uint32_t{0});
}

std::string TypeName(int table_level, bool normal) {
  if (table_level > 0) {
    return absl::StrFormat("a page table of level %d", table_level);
  }
  return normal ? "an ordinary page" : "a page without content";
}

}  // namespace

absl::Status ImageReader::BeginVcpu() {
  if (!arch_.has_value()) return Malformed("it comes before X86_PV_INFO");
  const uint64_t blob =
      length_ < kVcpuHeaderBytes ? 0 : length_ - kVcpuHeaderBytes;
  uint64_t least = 0;
  uint64_t most = kMaxRecordBytes;
  uint64_t unit = 1;
  switch (static_cast<RecordType>(type_)) {
    case RecordType::kX86PvVcpuBasic:
      least = most = LayoutOf(*arch_).context_bytes;
      break;
    case RecordType::kX86PvVcpuExtended:
      most = kMaxExtendedBytes;
      break;
    case RecordType::kX86PvVcpuXsave:
      least = kMinXsaveBytes;
      break;
    default:
      unit = kMsrBytes;
      break;
  }
  if (length_ < kVcpuHeaderBytes || blob < least || blob > most ||
      blob % unit != 0) {
    return Malformed(absl::StrFormat(
        "its body has %d bytes: %d bytes of head, then %d to %d in multiples "
        "of %d must be there",
        length_, kVcpuHeaderBytes, least, most, unit));
  }
  if (static_cast<RecordType>(type_) == RecordType::kX86PvVcpuBasic) {
    Expect(State::kBody, length_);
  } else {
    Expect(State::kVcpuHead, kVcpuHeaderBytes);
  }
  return absl::OkStatus();
}

absl::Status ImageReader::CheckVcpuId(uint32_t vcpu) const {
  if (vcpu < vcpus_) return absl::OkStatus();
  return Malformed(absl::StrFormat("virtual CPU %d: the domain has %d of them",
                                   vcpu, vcpus_));
}

absl::Status ImageReader::TakeVcpuHead(absl::string_view unit) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckVcpuId(static_cast<uint32_t>(LoadLe(unit.data(), 4))));
  // Simulated CPUs have no such state.
  left_ =
      (length_ + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment -
      kVcpuHeaderBytes;
  return TakeSkipped();
}

absl::Status ImageReader::TakeContext(absl::string_view body) {
  const auto vcpu = static_cast<uint32_t>(LoadLe(body.data(), 4));
  SIMVISOR_RETURN_IF_ERROR(CheckVcpuId(vcpu));
  const absl::string_view context = body.substr(kVcpuHeaderBytes);
  const GuestLayout& layout = LayoutOf(*arch_);
  const auto load = [&](size_t at) {
    return LoadLe(context.data() + at, layout.width);
  };
  VcpuPages pages;
  pages.start_info = Pfn(load(layout.start_info));
  pages.cr3 = PageOfCr3(*arch_, load(layout.cr3));
  if (layout.levels == 4 && (load(layout.cr1) & 1) != 0) {
    pages.cr1 = Pfn(load(layout.cr1) >> kPageShift);
  }
  const uint64_t entries = load(layout.gdt_entries);
  if (entries > kMaxGdtEntries) {
    return Malformed(
        absl::StrFormat("virtual CPU %d has %d GDT entries; at most %d", vcpu,
                        entries, kMaxGdtEntries));
  }
  const uint64_t frames =
      (entries + kGdtEntriesPerFrame - 1) / kGdtEntriesPerFrame;
  for (uint64_t i = 0; i < frames; ++i) {
    pages.gdt.push_back(Pfn(load(layout.gdt_frames + i * layout.width)));
  }
  contexts_[vcpu] = std::move(pages);
  return Charge(0);
}

absl::Status ImageReader::CheckPage(absl::string_view what, Pfn pfn,
                                    int level) const {
  if (!types_->populated().Contains(pfn)) {
    return Malformed(
        absl::StrFormat("%s is pfn 0x%x, for which no page was "
                        "sent",
                        what, pfn.value()));
  }
  const int found = types_->TableLevelOf(pfn);
  if (level == 0 ? types_->IsNormal(pfn) : found == level) {
    return absl::OkStatus();
  }
  return Malformed(absl::StrFormat(
      "%s is pfn 0x%x, which came as %s; it must be %s", what, pfn.value(),
      TypeName(found, types_->IsNormal(pfn)), TypeName(level, true)));
}

absl::Status ImageReader::CheckVcpus() const {
  if (!contexts_.contains(0)) {
    return Malformed("virtual CPU 0 has no X86_PV_VCPU_BASIC");
  }
  const int levels = LayoutOf(*arch_).levels;
  SIMVISOR_RETURN_IF_ERROR(
      CheckPage("start_info", contexts_.at(0).start_info, 0));
  for (const auto& [vcpu, pages] : contexts_) {
    for (const Pfn gdt : pages.gdt) {
      SIMVISOR_RETURN_IF_ERROR(CheckPage(
          absl::StrFormat("a GDT page of virtual CPU %d", vcpu), gdt, 0));
    }
    SIMVISOR_RETURN_IF_ERROR(CheckPage(
        absl::StrFormat("CR3 of virtual CPU %d", vcpu), pages.cr3, levels));
    if (pages.cr1.is_none()) continue;
    SIMVISOR_RETURN_IF_ERROR(CheckPage(
        absl::StrFormat("CR1 of virtual CPU %d", vcpu), pages.cr1, levels));
  }
  return absl::OkStatus();
}

absl::Status ImageReader::CheckAll() const {
  if (!arch_.has_value()) return Malformed("there was no X86_PV_INFO");
  if (!types_.has_value()) return Malformed("there was no X86_PV_P2M_FRAMES");
  if (!static_data_ended_) return Malformed("there was no STATIC_DATA_END");
  for (size_t leaf = 0; leaf < p2m_pages_.size(); ++leaf) {
    if (leaf % kLeavesPerStop == 0) SIMVISOR_RETURN_IF_ERROR(AskStop());
    SIMVISOR_RETURN_IF_ERROR(
        CheckPage("a page of the p2m list", Pfn(p2m_pages_[leaf]), 0));
  }
  SIMVISOR_RETURN_IF_ERROR(CheckVcpus());
  return sink_.OnEnd(contexts_.at(0));
}

}  // namespace simvisor
