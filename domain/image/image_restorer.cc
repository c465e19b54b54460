#include "domain/image/image_restorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "domain/image/guest_pages.h"
#include "domain/image/image_memory.h"
#include "domain/image/page_table.h"

namespace simvisor {
namespace {

absl::Status Malformed(absl::string_view what,
                       std::initializer_list<Fact> facts) {
  return MakeError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                   absl::StrCat("save image: ", what), facts);
}

}  // namespace

ImageRestorer::ImageRestorer(Host& host, SpecSource spec, LimitsFrom limits,
                             PageCount claim, Arrival arrival,
                             std::shared_ptr<const Domain> leaving)
    : host_(host),
      spec_(std::move(spec)),
      limits_(limits),
      claim_(claim),
      arrival_(arrival),
      leaving_(std::move(leaving)),
      charge_(&host.image_memory()),
      reader_(*this, &host.image_memory()) {}

absl::StatusOr<std::shared_ptr<Domain>> ImageRestorer::Finish(StopCheck stop) {
  SIMVISOR_RETURN_IF_ERROR(reader_.Finish());
  return Arrive(stop);
}

absl::Status ImageRestorer::Charge(uint64_t more) {
  const uint64_t stretches = incoming_ == nullptr ? 0 : incoming_->stretches();
  const uint64_t config = config_.has_value() ? config_->size() : 0;
  const uint64_t held = stretches * kBytesPerStretch + config;
  if (charge_.Resize(held + more)) return absl::OkStatus();
  return ImageMemoryExhausted(held + more, charge_);
}

absl::Status ImageRestorer::OnConfig(absl::string_view json) {
  SIMVISOR_RETURN_IF_ERROR(Charge(json.size()));
  config_ = std::string(json);
  return absl::OkStatus();
}

absl::Status ImageRestorer::OnArch(Arch arch) {
  arch_ = arch;
  return absl::OkStatus();
}

absl::Status ImageRestorer::OnP2mFrames(Pfn last) {
  if (config_.has_value()) {
    SIMVISOR_RETURN_IF_ERROR(Charge(config_->size() * kBytesPerConfigByte));
  }
  SIMVISOR_ASSIGN_OR_RETURN(DomainSpec spec, spec_(config_));
  config_.reset();
  spec.arch = arch_;
  end_ = last + PageCount(1);
  SIMVISOR_ASSIGN_OR_RETURN(
      incoming_, IncomingDomain::Create(host_, std::move(spec), end_, claim_,
                                        leaving_.get()));
  if (incoming_->vcpus() > 0) reader_.SetVcpus(incoming_->vcpus());
  return Charge(0);
}

absl::Status ImageRestorer::OnBatch(absl::Span<const BatchEntry> entries) {
  SIMVISOR_RETURN_IF_ERROR(Charge(entries.size() * kBytesPerStretch));
  for (size_t i = 0; i < entries.size();) {
    const BatchEntry first = entries[i];
    size_t end = i + 1;
    while (end < entries.size() && entries[end].type == first.type &&
           entries[end].pfn == first.pfn + PageCount(end - i)) {
      ++end;
    }
    const PfnExtent pfns = {first.pfn, PageCount(end - i)};
    if (WantsFrame(first.type)) {
      SIMVISOR_RETURN_IF_ERROR(incoming_->Receive(pfns));
    }
    i = end;
  }
  return absl::OkStatus();
}

absl::Status ImageRestorer::OnPage(BatchEntry entry,
                                   absl::Span<const char> data) {
  if (reader_.p2m_page_set().Contains(entry.pfn)) return absl::OkStatus();
  return incoming_->WritePage(entry.pfn, data);
}

absl::Status ImageRestorer::OnEnd(const VcpuPages& boot_vcpu) {
  boot_vcpu_ = boot_vcpu;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Domain>> ImageRestorer::Arrive(StopCheck stop) {
  Page start_info;
  incoming_->ReadPage(boot_vcpu_.start_info, absl::MakeSpan(start_info));
  const std::optional<NotesPlace> place = FindNotes(arch_, start_info);
  if (!place.has_value() && arrival_ == Arrival::kSuspended) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kGuestKernelUnknown,
        "the guest that arrives has a kernel that is not simulated, so it "
        "cannot run here; restore it from a file to look at it");
  }
  if (!place.has_value()) {
    SIMVISOR_RETURN_IF_ERROR(LocaliseTables(stop));
    return incoming_->AdoptForeignKernel(reader_.p2m_pages(),
                                         reader_.vcpus_seen(), stop);
  }
  SIMVISOR_RETURN_IF_ERROR(CheckPlace(*place));
  std::vector<Pfn> pages = place->record_pages;
  pages.insert(pages.end(),
               {boot_vcpu_.start_info, place->store, place->console});
  SIMVISOR_ASSIGN_OR_RETURN(const std::string notes,
                            ReadNotes(*place, stop, pages));
  return incoming_->Awaken({.bytes = notes,
                            .record_pages = pages,
                            .pages = place->pages,
                            .vcpus = reader_.vcpus_seen(),
                            .leaf_pages = reader_.p2m_pages()},
                           limits_, arrival_, stop);
}

absl::Status ImageRestorer::CheckPlace(const NotesPlace& place) const {
  const auto wrong = [this](absl::string_view field, uint64_t value,
                            absl::string_view limit) {
    return Malformed(
        absl::StrFormat("start_info, at pfn 0x%x: %s is %d (0x%x); %s",
                        boot_vcpu_.start_info.value(), field, value, value,
                        limit),
        {{fact::kField, field}, {fact::kValue, value}});
  };
  if (!place.magic) return wrong("magic", 0, "it must be Xen's for this guest");
  if (place.record_pages.size() != place.other_pages) {
    return wrong(
        "the number of the record's pages, at byte 2072,", place.other_pages,
        absl::StrFormat("at most %d are read", place.record_pages.size()));
  }
  const uint64_t most = reader_.types()->populated().size().value() *
                        SuspendRecord::kNotesPerPage;
  if (place.bytes == 0 || place.bytes > most) {
    return wrong("the size of the notes, at byte 2056,", place.bytes,
                 absl::StrFormat("all pages that were sent hold %d", most));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ImageRestorer::ReadNotes(const NotesPlace& place,
                                                     StopCheck stop,
                                                     std::vector<Pfn>& pages) {
  std::string notes;
  PfnSet read;
  Pfn at = place.first;
  Page page;
  while (notes.size() < place.bytes) {
    SIMVISOR_RETURN_IF_ERROR(stop());
    if (!reader_.types()->populated().Contains(at) || read.Contains(at)) {
      return Malformed(
          absl::StrFormat("the kernel's notes have %d bytes, and after %d of "
                          "them go on in pfn 0x%x, which was not sent or holds "
                          "some of them already",
                          place.bytes, notes.size(), at.value()),
          {{fact::kValue, Hex(at.value())}});
    }
    SIMVISOR_RETURN_IF_ERROR(
        Charge((notes.size() + kPageSize) * kBytesPerNotesByte));
    incoming_->ReadPage(at, absl::MakeSpan(page));
    read.Add({at, PageCount(1)});
    pages.push_back(at);
    notes.append(page.data() + 8,
                 std::min<uint64_t>(SuspendRecord::kNotesPerPage,
                                    place.bytes - notes.size()));
    at = Pfn(LoadLe(page.data(), 8));
  }
  if (at.is_none()) return notes;
  return Malformed(
      absl::StrFormat("the kernel's notes have %d bytes, and pfn 0x%x follows "
                      "their last page; no page may follow",
                      place.bytes, at.value()),
      {{fact::kValue, Hex(at.value())}});
}

absl::Status ImageRestorer::LocaliseTables(StopCheck stop) {
  // A page that a table names but that was never sent gets a frame too.
  const auto receive = [this](uint64_t pfn, uint64_t* to) {
    *to = pfn;
    const absl::Status room = Charge(kBytesPerStretch);
    return room.ok() ? incoming_->Receive({Pfn(pfn), PageCount(1)}) : room;
  };
  SIMVISOR_RETURN_IF_ERROR(TranslateTables(receive, stop));
  SIMVISOR_RETURN_IF_ERROR(incoming_->PlaceFrames(stop));
  const auto frame_of = [this](uint64_t pfn, uint64_t* mfn) {
    *mfn = incoming_->FrameAt(Pfn(pfn)).value();
    return absl::OkStatus();
  };
  return TranslateTables(frame_of, stop);
}

absl::Status ImageRestorer::TranslateTables(MapFrame map, StopCheck stop) {
  for (int level = 1; level <= AbiOf(arch_).page_table_levels; ++level) {
    for (const auto& [first, end] : reader_.types()->tables(level).extents()) {
      for (Pfn at = first; at < end; at += PageCount(1)) {
        SIMVISOR_RETURN_IF_ERROR(stop());
        SIMVISOR_RETURN_IF_ERROR(TranslateOne(at, level, map));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ImageRestorer::TranslateOne(Pfn table, int level, MapFrame map) {
  const auto checked = [&](uint64_t pfn, uint64_t* to) -> absl::Status {
    if (Pfn(pfn) < end_) return map(pfn, to);
    return Malformed(
        absl::StrFormat(
            "the page table at pfn 0x%x names pfn 0x%x; the pfns end at 0x%x",
            table.value(), pfn, end_.value()),
        {{fact::kValue, Hex(pfn)}, {fact::kLimit, Hex(end_.value())}});
  };
  Page page;
  incoming_->ReadPage(table, absl::MakeSpan(page));
  SIMVISOR_RETURN_IF_ERROR(
      TranslateTable(AbiOf(arch_), level, absl::MakeSpan(page), checked));
  return incoming_->WritePage(table, page);
}

}  // namespace simvisor
