#include "domain/image/image_writer.h"

#include <cassert>

namespace simvisor {
namespace {

void PutLe(uint64_t number, size_t bytes, std::string& out) {
  out.resize(out.size() + bytes);
  StoreLe(number, bytes, &out[out.size() - bytes]);
}

void PutBe(uint64_t number, size_t bytes, std::string& out) {
  out.resize(out.size() + bytes);
  StoreBe(number, bytes, &out[out.size() - bytes]);
}

void PutRecordHead(RecordType type, uint64_t bytes, std::string& out) {
  assert(bytes <= kMaxRecordBytes);
  PutLe(static_cast<uint32_t>(type), 4, out);
  PutLe(bytes, 4, out);
}

void PutPadding(uint64_t bytes, std::string& out) {
  out.append(-bytes % kRecordAlignment, '\0');
}

void AppendXlHeader(absl::string_view config, std::string& out) {
  out.append(kXlMagic.data(), kXlMagic.size());
  PutLe(kXlByteOrder, 4, out);
  PutLe(kXlConfigIsJson | kXlStreamIsV2, 4, out);
  PutLe(0, 4, out);
  // The length of the configuration includes its final NUL.
  const uint64_t bytes = config.size() + 1;
  PutLe(4 + bytes, 4, out);
  PutLe(bytes, 4, out);
  out.append(config.data(), config.size());
  out.push_back('\0');
}

void AppendLibxlHeader(std::string& out) {
  PutBe(kLibxlId, 8, out);
  PutBe(kLibxlVersion, 4, out);
  PutBe(0, 4, out);
  PutLe(kLibxlContext, 4, out);
  PutLe(0, 4, out);
}

}  // namespace

void AppendImageStart(ImageLayer layer, absl::string_view config,
                      std::string& out) {
  if (layer == ImageLayer::kXl) AppendXlHeader(config, out);
  if (layer != ImageLayer::kLibxc) AppendLibxlHeader(out);
  PutBe(kImageMarker, 8, out);
  PutBe(kImageId, 4, out);
  PutBe(kImageVersion, 4, out);
  PutBe(0, 8, out);  // options and reserved bytes
  PutLe(kDomainX86Pv, 4, out);
  PutLe(kPageShift, 2, out);
  PutLe(0, 2, out);
  PutLe(4, 4, out);  // the version of Xen that this imitates
  PutLe(17, 4, out);
}

void AppendImageEnd(ImageLayer layer, std::string& out) {
  AppendRecord(RecordType::kEnd, "", out);
  if (layer == ImageLayer::kLibxc) return;
  PutLe(kLibxlEnd, 4, out);
  PutLe(0, 4, out);
}

void AppendRecord(RecordType type, absl::string_view body, std::string& out) {
  assert(body.size() <= kMaxRecordBytes);
  PutRecordHead(type, body.size(), out);
  out.append(body.data(), body.size());
  PutPadding(body.size(), out);
}

void AppendPvInfo(Arch arch, std::string& out) {
  PutRecordHead(RecordType::kX86PvInfo, kPvInfoBytes, out);
  PutLe(LayoutOf(arch).width, 1, out);
  PutLe(LayoutOf(arch).levels, 1, out);
  PutLe(0, 6, out);
}

void AppendP2mFramesHead(const Abi& abi, Pfn last, std::string& out) {
  const uint64_t leaves = last.value() / abi.words_per_page + 1;
  PutRecordHead(RecordType::kX86PvP2mFrames, 8 + 8 * leaves, out);
  PutLe(0, 4, out);
  PutLe(last.value(), 4, out);
}

void AppendPfns(absl::Span<const Pfn> pfns, std::string& out) {
  for (const Pfn pfn : pfns) PutLe(pfn.value(), 8, out);
}

void AppendTscInfo(std::string& out) {
  // Mode 0 (as on the host) at 1 GHz; simulated guests have no clock.
  PutRecordHead(RecordType::kX86TscInfo, kTscInfoBytes, out);
  PutLe(0, 4, out);
  PutLe(1000000, 4, out);
  out.append(16, '\0');
}

void AppendVcpu(RecordType type, uint32_t vcpu, absl::string_view blob,
                std::string& out) {
  PutRecordHead(type, kVcpuHeaderBytes + blob.size(), out);
  PutLe(vcpu, 4, out);
  PutLe(0, 4, out);
  out.append(blob.data(), blob.size());
  PutPadding(blob.size(), out);
}

void PageBatch::AddWord(Pfn pfn, PageType type) {
  PutLe(static_cast<uint64_t>(type) << kPageTypeShift | pfn.value(), 8, words_);
}

void PageBatch::Add(Pfn pfn, PageType type, absl::string_view data) {
  assert(!full() && data.size() == (CarriesData(type) ? kPageSize : 0));
  AddWord(pfn, type);
  data_.append(data.data(), data.size());
}

void PageBatch::AddEmpty(PfnExtent pfns, PageType type) {
  assert(size() + pfns.count.value() <= kBatchPages && !CarriesData(type));
  for (Pfn at = pfns.first; at < pfns.end(); at += PageCount(1)) {
    AddWord(at, type);
  }
}

void PageBatch::AppendTo(std::string& out) {
  assert(!empty());
  PutRecordHead(RecordType::kPageData, 8 + words_.size() + data_.size(), out);
  PutLe(size(), 8, out);
  out += words_;
  out += data_;
  words_.clear();
  data_.clear();
}

}  // namespace simvisor
