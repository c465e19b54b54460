#include "domain/image/image_reader.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "domain/image/image_memory.h"

namespace simvisor {
namespace {

// Longer units are counted while they are assembled.
constexpr uint64_t kUncountedBytes = uint64_t{16} << 10;
// The pages of one virtual CPU in a tree.
constexpr uint64_t kBytesPerContext = 256;

uint64_t Padded(uint64_t bytes) {
  return (bytes + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

}  // namespace

absl::Status ImageReader::Feed(absl::string_view bytes, StopCheck stop) {
  SIMVISOR_RETURN_IF_ERROR(failed_);
  stop_ = &stop;
  failed_ = AskStop();
  if (failed_.ok()) failed_ = FeedUnits(bytes);
  stop_ = nullptr;
  return failed_;
}

absl::Status ImageReader::FeedUnits(absl::string_view bytes) {
  while (state_ != State::kDone && (need_ == 0 || !bytes.empty())) {
    absl::string_view unit = bytes.substr(0, need_);
    if (!buffer_.empty() || unit.size() < need_) {
      unit = bytes.substr(0, need_ - buffer_.size());
      if (need_ > kUncountedBytes) {
        SIMVISOR_RETURN_IF_ERROR(Charge(2 * (buffer_.size() + unit.size())));
      }
      buffer_.append(unit.data(), unit.size());
      bytes.remove_prefix(unit.size());
      if (buffer_.size() < need_) break;
      const std::string whole = std::move(buffer_);
      buffer_.clear();
      SIMVISOR_RETURN_IF_ERROR(Take(whole));
    } else {
      bytes.remove_prefix(need_);
      SIMVISOR_RETURN_IF_ERROR(Take(unit));
    }
  }
  return absl::OkStatus();
}

absl::Status ImageReader::Charge(uint64_t more) {
  const uint64_t held =
      p2m_pages_.capacity() * sizeof(p2m_pages_[0]) +
      batch_.capacity() * sizeof(batch_[0]) +
      contexts_.size() * kBytesPerContext +
      kBytesPerStretch * (p2m_page_set_.extents().size() +
                          (types_.has_value() ? types_->stretches() : 0));
  if (charge_.Resize(held + more)) return absl::OkStatus();
  return ImageMemoryExhausted(held + more, charge_);
}

absl::Status ImageReader::Finish() {
  SIMVISOR_RETURN_IF_ERROR(failed_);
  if (done()) return absl::OkStatus();
  failed_ =
      Refuse(Reason::kImageTruncated,
             absl::StrFormat("it ends after %d bytes, where %d more are due",
                             offset_ + buffer_.size(), need_ - buffer_.size()));
  return failed_;
}

absl::Status ImageReader::Refuse(Reason reason, absl::string_view what) const {
  const std::string where =
      in_record_ ? absl::StrFormat("record %d, %s, at byte %d", records_,
                                   RecordName(type_), record_at_)
                 : absl::StrFormat("byte %d", record_at_);
  absl::Status status =
      MakeError(absl::StatusCode::kInvalidArgument, reason,
                absl::StrFormat("save image: %s: %s", where, what),
                {{fact::kOffset, record_at_}});
  if (in_record_) SetFact({fact::kField, RecordName(type_)}, status);
  return status;
}

absl::Status ImageReader::Take(absl::string_view unit) {
  const uint64_t at = offset_;
  offset_ += unit.size();
  if (state_ <= State::kRecordHeader) record_at_ = at;
  switch (state_) {
    case State::kLayer:
      return TakeLayer(unit);
    case State::kXlHeader:
      return TakeXlHeader(unit);
    case State::kXlData:
      return TakeXlData(unit);
    case State::kLibxlHeader:
      return TakeLibxlHeader(unit);
    case State::kLibxlRecord:
      return TakeLibxlRecord(unit);
    case State::kImageHeader:
      return TakeImageHeader(unit);
    case State::kDomainHeader:
      return TakeDomainHeader(unit);
    case State::kRecordHeader:
      return TakeRecordHeader(unit);
    case State::kBody:
      return TakeBody(unit.substr(0, length_));
    case State::kP2mRange:
      return TakeP2mRange(unit);
    case State::kP2mPages:
      return TakeP2mPages(unit);
    case State::kBatchHead:
      return TakeBatchHead(unit);
    case State::kBatchWords:
      return TakeBatchWords(unit);
    case State::kBatchPage:
      return TakeBatchPage(unit);
    case State::kVcpuHead:
      return TakeVcpuHead(unit);
    case State::kSkipped:
      return TakeSkipped();
    case State::kDone:
      break;
  }
  return absl::OkStatus();
}

void ImageReader::EndRecord() {
  in_record_ = false;
  Expect(State::kRecordHeader, kRecordHeaderBytes);
}

absl::Status ImageReader::TakeRecordHeader(absl::string_view unit) {
  type_ = static_cast<uint32_t>(LoadLe(unit.data(), 4));
  length_ = LoadLe(unit.data() + 4, 4);
  in_record_ = true;
  ++records_;
  if (length_ > kMaxRecordBytes) {
    return Malformed(absl::StrFormat("its body has %d bytes; at most %d",
                                     length_, kMaxRecordBytes));
  }
  if ((type_ & kOptionalRecord) != 0) {
    left_ = Padded(length_);
    return TakeSkipped();
  }
  return BeginRecord();
}

absl::Status ImageReader::TakeSkipped() {
  const uint64_t next = std::min<uint64_t>(left_, kPageSize);
  left_ -= next;
  if (next > 0) {
    Expect(State::kSkipped, next);
    return absl::OkStatus();
  }
  if (type_ == static_cast<uint32_t>(RecordType::kEnd)) return TakeEnd();
  EndRecord();
  return absl::OkStatus();
}

absl::Status ImageReader::TakeEnd() {
  SIMVISOR_RETURN_IF_ERROR(CheckAll());
  in_record_ = false;
  if (layer_ == ImageLayer::kLibxc) {
    Expect(State::kDone, 0);
  } else {
    Expect(State::kLibxlRecord, kRecordHeaderBytes);
  }
  return absl::OkStatus();
}

absl::Status ImageReader::BeginRecord() {
  const auto type = static_cast<RecordType>(type_);
  const auto exact = [this](uint64_t bytes) -> absl::Status {
    if (length_ == bytes) {
      Expect(State::kBody, Padded(bytes));
      return absl::OkStatus();
    }
    return Malformed(absl::StrFormat("its body has %d bytes; it must have %d",
                                     length_, bytes));
  };
  switch (type) {
    case RecordType::kEnd:
      // Its length is not checked.
      left_ = Padded(length_);
      return TakeSkipped();
    case RecordType::kVerify:
    case RecordType::kStaticDataEnd:
      return exact(0);
    case RecordType::kX86PvInfo:
      if (length_ < kPvInfoBytes || length_ > kPageSize) return exact(8);
      Expect(State::kBody, Padded(length_));
      return absl::OkStatus();
    case RecordType::kX86TscInfo:
      return exact(kTscInfoBytes);
    case RecordType::kSharedInfo:
      return exact(kPageSize);
    case RecordType::kX86PvP2mFrames:
    case RecordType::kPageData:
      if (length_ < 8) return exact(8);
      Expect(
          type == RecordType::kPageData ? State::kBatchHead : State::kP2mRange,
          8);
      return absl::OkStatus();
    case RecordType::kX86PvVcpuBasic:
    case RecordType::kX86PvVcpuExtended:
    case RecordType::kX86PvVcpuXsave:
    case RecordType::kX86PvVcpuMsrs:
      return BeginVcpu();
    case RecordType::kX86CpuidPolicy:
    case RecordType::kX86MsrPolicy: {
      const uint64_t unit =
          type == RecordType::kX86CpuidPolicy ? kCpuidLeafBytes : kMsrBytes;
      if (length_ % unit != 0) {
        return Malformed(absl::StrFormat(
            "its body has %d bytes; it must have a multiple of %d", length_,
            unit));
      }
      if (version_ < kImageVersion) {
        return Malformed("version 2 of the stream has no such record");
      }
      left_ = Padded(length_);
      return TakeSkipped();
    }
    case RecordType::kHvmContext:
    case RecordType::kHvmParams:
      return Refuse(Reason::kImageUnsupported, "PV guests have no such record");
    case RecordType::kCheckpoint:
    case RecordType::kCheckpointDirtyPfnList:
      return Refuse(Reason::kImageUnsupported,
                    "checkpointed streams are not read");
    case RecordType::kToolstack:
      return Refuse(Reason::kImageUnsupported,
                    "records of this kind are no longer written");
  }
  return Malformed(absl::StrFormat(
      "type 0x%x is not known, and is not marked as optional", type_));
}

absl::Status ImageReader::TakeBody(absl::string_view body) {
  switch (static_cast<RecordType>(type_)) {
    case RecordType::kX86PvInfo: {
      if (arch_.has_value()) return Malformed("there is one already");
      const uint64_t width = LoadLe(body.data(), 1);
      const uint64_t levels = LoadLe(body.data() + 1, 1);
      for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
        const GuestLayout& layout = LayoutOf(arch);
        if (width == layout.width && levels == layout.levels) arch_ = arch;
      }
      if (!arch_.has_value()) {
        return Malformed(absl::StrFormat(
            "a guest of %d-byte words with %d levels of page tables; there "
            "are guests of 8 with 4 and of 4 with 3",
            width, levels));
      }
      SIMVISOR_RETURN_IF_ERROR(sink_.OnArch(*arch_));
      break;
    }
    case RecordType::kStaticDataEnd:
      if (version_ < kImageVersion) {
        return Malformed("version 2 of the stream has no such record");
      }
      if (static_data_ended_) return Malformed("there is one already");
      static_data_ended_ = true;
      break;
    case RecordType::kVerify:
      verifying_ = true;
      break;
    case RecordType::kSharedInfo:
      if (!arch_.has_value()) return Malformed("it comes before X86_PV_INFO");
      break;
    case RecordType::kX86PvVcpuBasic:
      SIMVISOR_RETURN_IF_ERROR(TakeContext(body));
      break;
    default:
      break;
  }
  EndRecord();
  return absl::OkStatus();
}

}  // namespace simvisor
