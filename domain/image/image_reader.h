// Reads a save image whose bytes may come in pieces of any size.
//
// Reads the libxc stream, version 2 or 3, with or without the libxl and xl
// layers around it, for x86 PV guests, and enforces what Xen's restorer
// enforces; what the restorer ignores (reserved fields, padding) is ignored
// here too.  Some images that the restorer accepts are refused as
// IMAGE_UNSUPPORTED: more than one P2M_FRAMES record, one that does not begin
// at pfn 0, and records of HVM guests, emulators and checkpoints.  Source:
// xg_sr_restore.c, xg_sr_restore_x86_pv.c, libxl_stream_read.c.
//
// Memory: the body of one short record; the leaf pages of P2M_FRAMES; the pfns
// of one batch, at most 2^20; and PageTypes.  All of it grows as bytes come,
// never with a length that a record declares, and is charged to a budget before
// it is allocated.
//
// Work: one call of Feed() does work in proportion to its bytes, except for the
// types of a batch, of 2^20 pfns at most, and the checks at the end; both ask
// `stop`.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_READER_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_READER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/byte_budget.h"
#include "base/error.h"
#include "domain/collections/extent_set.h"
#include "domain/image/image_sink.h"
#include "domain/image/page_types.h"
#include "domain/image/stream_format.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"

namespace simvisor {

class ImageReader {
 public:
  // `sink`, and `budget` unless it is null, must outlive the reader.
  explicit ImageReader(ImageSink& sink, ByteBudget* budget = nullptr)
      : sink_(sink), charge_(budget) {}

  // Sets how many virtual CPUs the domain has; ids must be below that.  Before
  // the call the limit is Xen's maximum for a PV domain.
  void SetVcpus(uint32_t vcpus) { vcpus_ = vcpus; }

  // Reads the next bytes.  Bytes after the image's end are ignored, as
  // restorers leave them unread.  After a failure every call fails with the
  // same status.
  //
  // INVALID_ARGUMENT IMAGE_MALFORMED, IMAGE_UNSUPPORTED, with record, offset,
  // value and limit; RESOURCE_EXHAUSTED IMAGE_MEMORY_EXHAUSTED; the status of
  // `stop`; or a status of the sink.
  absl::Status Feed(absl::string_view bytes, StopCheck stop = NeverStop);
  // Call when no more bytes come.  INVALID_ARGUMENT IMAGE_TRUNCATED unless the
  // image has ended.
  absl::Status Finish();

  // Whether the image has ended.
  bool done() const { return state_ == State::kDone; }
  // One more than the highest virtual CPU with a context so far.
  uint32_t vcpus_seen() const {
    return contexts_.empty() ? 0 : contexts_.rbegin()->first + 1;
  }
  // Pages of the p2m list's leaves received so far, by leaf and as a set.
  absl::Span<const uint64_t> p2m_pages() const { return p2m_pages_; }
  const PfnSet& p2m_page_set() const { return p2m_page_set_; }
  // The types of pages read so far; null before P2M_FRAMES.
  const PageTypes* types() const {
    return types_.has_value() ? &*types_ : nullptr;
  }

 private:
  // What the next `need_` bytes are.
  enum class State {
    kLayer,     // enough to tell the layers apart
    kXlHeader,  // the rest of the xl header
    kXlData,    // its optional data
    kLibxlHeader,
    kLibxlRecord,
    kImageHeader,
    kDomainHeader,
    kRecordHeader,
    kBody,      // the whole body of a short record, with its padding
    kP2mRange,  // the head of P2M_FRAMES
    kP2mPages,
    kBatchHead,  // the head of PAGE_DATA
    kBatchWords,
    kBatchPage,
    kVcpuHead,  // the head of a vCPU record that is skipped
    kSkipped,   // body of an optional record, piece by piece
    kDone,
  };

  void Expect(State state, uint64_t bytes) {
    state_ = state;
    need_ = bytes;
  }
  absl::Status FeedUnits(absl::string_view bytes);
  absl::Status Take(absl::string_view unit);
  absl::Status AskStop() const { return (*stop_)(); }
  // Charges what is held now plus `more` bytes.
  absl::Status Charge(uint64_t more);
  // Charges and reserves room for `more` items.
  template <typename T>
  absl::Status MakeRoom(std::vector<T>& items, size_t more);
  absl::Status Refuse(Reason reason, absl::string_view what) const;
  absl::Status Malformed(absl::string_view what) const {
    return Refuse(Reason::kImageMalformed, what);
  }

  // image_reader_layers.cc
  absl::Status TakeLayer(absl::string_view unit);
  absl::Status TakeXlHeader(absl::string_view unit);
  absl::Status TakeXlData(absl::string_view unit);
  absl::Status TakeLibxlHeader(absl::string_view unit);
  absl::Status TakeLibxlRecord(absl::string_view unit);
  absl::Status TakeImageHeader(absl::string_view unit);
  absl::Status TakeDomainHeader(absl::string_view unit);

  // image_reader.cc
  absl::Status TakeRecordHeader(absl::string_view unit);
  absl::Status BeginRecord();
  absl::Status TakeBody(absl::string_view body);
  absl::Status TakeSkipped();
  absl::Status TakeEnd();
  void EndRecord();

  // image_reader_pages.cc
  absl::Status CheckMemoryAllowed();
  absl::Status TakeP2mRange(absl::string_view unit);
  absl::Status TakeP2mPages(absl::string_view unit);
  absl::Status TakeBatchHead(absl::string_view unit);
  absl::Status TakeBatchWords(absl::string_view unit);
  absl::Status EndBatchWords();
  // Records types of entries [first, end) of the batch, and passes them to the
  // sink.
  absl::Status NoteTypes(size_t first, size_t end);
  absl::Status TakeBatchPage(absl::string_view page);
  absl::Status NextBatchPage();

  // image_reader_vcpus.cc
  absl::Status BeginVcpu();
  absl::Status TakeVcpuHead(absl::string_view unit);
  absl::Status CheckVcpuId(uint32_t vcpu) const;
  absl::Status TakeContext(absl::string_view body);
  absl::Status CheckAll() const;
  absl::Status CheckVcpus() const;
  absl::Status CheckPage(absl::string_view what, Pfn pfn, int level) const;

  ImageSink& sink_;
  ByteCharge charge_;
  const StopCheck* stop_ = nullptr;  // while Feed() runs
  absl::Status failed_;

  State state_ = State::kLayer;
  uint64_t need_ = 8;
  std::string buffer_;   // an incomplete unit
  uint64_t offset_ = 0;  // bytes taken
  uint64_t record_at_ = 0;
  uint64_t records_ = 0;  // records begun
  uint32_t type_ = 0;     // of the current record
  uint64_t length_ = 0;   // of its body
  bool in_record_ = false;

  ImageLayer layer_ = ImageLayer::kLibxc;
  uint32_t version_ = 0;
  std::optional<Arch> arch_;
  bool static_data_ended_ = false;
  bool verifying_ = false;
  uint32_t vcpus_ = kMaxVcpus;

  uint64_t left_ = 0;  // units of the current record still to come
  std::vector<uint64_t> p2m_pages_;
  PfnSet p2m_page_set_;
  std::optional<PageTypes> types_;
  std::vector<BatchEntry> batch_;
  size_t next_page_ = 0;  // next entry of batch_ that may carry data
  absl::btree_map<uint32_t, VcpuPages> contexts_;
};

template <typename T>
absl::Status ImageReader::MakeRoom(std::vector<T>& items, size_t more) {
  if (items.capacity() - items.size() >= more) return absl::OkStatus();
  const size_t wanted = std::max(items.size() + more, 2 * items.capacity());
  // The old items stay until they have been copied.
  const absl::Status status = Charge(wanted * sizeof(T));
  if (!status.ok()) return status;
  items.reserve(wanted);
  return Charge(0);
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_READER_H_
