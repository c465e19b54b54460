#include "domain/image/image_restorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "domain/image/guest_pages.h"
#include "domain/image/page_table.h"
#include "domain/units/error.h"
#include "domain/units/status_macros.h"

namespace simvisor {
namespace {

absl::Status Malformed(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                   absl::StrCat("save image: ", what));
}

}  // namespace

ImageRestorer::ImageRestorer(Host& host, SpecSource spec, LimitsFrom limits,
                             PageCount claim, Arrival arrival)
    : host_(host),
      spec_(std::move(spec)),
      limits_(limits),
      claim_(claim),
      arrival_(arrival),
      reader_(*this) {}

absl::StatusOr<std::shared_ptr<Domain>> ImageRestorer::Finish() {
  SIMVISOR_RETURN_IF_ERROR(reader_.Finish());
  return Arrive();
}

absl::Status ImageRestorer::OnConfig(absl::string_view json) {
  config_ = std::string(json);
  return absl::OkStatus();
}

absl::Status ImageRestorer::OnArch(Arch arch) {
  arch_ = arch;
  return absl::OkStatus();
}

absl::Status ImageRestorer::OnP2mFrames(Pfn last,
                                        absl::Span<const uint64_t> pages) {
  SIMVISOR_ASSIGN_OR_RETURN(DomainSpec spec, spec_(config_));
  spec.arch = arch_;
  end_ = last + PageCount(1);
  SIMVISOR_ASSIGN_OR_RETURN(
      incoming_, IncomingDomain::Create(host_, std::move(spec), end_, claim_));
  if (incoming_->vcpus() > 0) reader_.SetVcpus(incoming_->vcpus());
  leaves_.assign(pages.begin(), pages.end());
  for (const uint64_t page : pages) {
    leaf_pages_.Add({Pfn(page), PageCount(1)});
  }
  return absl::OkStatus();
}

absl::Status ImageRestorer::OnBatch(absl::Span<const BatchEntry> entries) {
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
  if (leaf_pages_.Contains(entry.pfn)) return absl::OkStatus();
  return incoming_->WritePage(entry.pfn, data);
}

absl::Status ImageRestorer::OnEnd(const VcpuPages& boot_vcpu) {
  boot_vcpu_ = boot_vcpu;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Domain>> ImageRestorer::Arrive() {
  Page start_info;
  incoming_->ReadPage(boot_vcpu_.start_info, absl::MakeSpan(start_info));
  const std::optional<NotesPlace> place = FindNotes(start_info);
  if (!place.has_value() && arrival_ == Arrival::kHeld) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, Reason::kGuestKernelUnknown,
        "the guest that arrives has a kernel that is not simulated, so it "
        "cannot run here; restore it from a file to look at it");
  }
  if (!place.has_value()) {
    SIMVISOR_RETURN_IF_ERROR(LocaliseTables());
    return incoming_->AdoptForeignKernel(leaves_, reader_.vcpus_seen());
  }
  std::vector<Pfn> pages = place->record_pages;
  pages.push_back(boot_vcpu_.start_info);
  SIMVISOR_ASSIGN_OR_RETURN(const std::string notes,
                            ReadNotes(place->bytes, place->first, pages));
  for (const Pfn page : pages) {
    if (!reader_.types()->populated().Contains(page)) {
      return Malformed(absl::StrFormat(
          "the guest's record has a page at pfn 0x%x, for which none was sent",
          page.value()));
    }
  }
  return incoming_->Awaken(notes, pages, limits_, arrival_);
}

absl::StatusOr<std::string> ImageRestorer::ReadNotes(uint64_t bytes, Pfn first,
                                                     std::vector<Pfn>& pages) {
  std::string notes;
  Pfn at = first;
  Page page;
  while (notes.size() < bytes) {
    // Every page adds to the notes, so that a chain in a circle ends.
    if (!reader_.types()->populated().Contains(at) ||
        bytes > end_.value() * SuspendRecord::kNotesPerPage) {
      return Malformed(absl::StrFormat(
          "the kernel's notes have %d bytes, and end after %d at pfn 0x%x",
          bytes, notes.size(), at.value()));
    }
    incoming_->ReadPage(at, absl::MakeSpan(page));
    pages.push_back(at);
    notes.append(
        page.data() + 8,
        std::min<uint64_t>(SuspendRecord::kNotesPerPage, bytes - notes.size()));
    at = Pfn(LoadLe(page.data(), 8));
  }
  return notes;
}

absl::Status ImageRestorer::LocaliseTables() {
  // A page that a table names and that was never sent gets a frame too.
  const auto receive = [this](uint64_t pfn, uint64_t* to) {
    *to = pfn;
    return incoming_->Receive({Pfn(pfn), PageCount(1)});
  };
  SIMVISOR_RETURN_IF_ERROR(TranslateTables(receive));
  SIMVISOR_RETURN_IF_ERROR(incoming_->PlaceFrames());
  const auto frame_of = [this](uint64_t pfn, uint64_t* mfn) {
    *mfn = incoming_->FrameAt(Pfn(pfn)).value();
    return absl::OkStatus();
  };
  return TranslateTables(frame_of);
}

absl::Status ImageRestorer::TranslateTables(MapFrame map) {
  for (int level = 1; level <= AbiOf(arch_).page_table_levels; ++level) {
    for (const auto& [first, end] : reader_.types()->tables(level).extents()) {
      for (Pfn at = first; at < end; at += PageCount(1)) {
        SIMVISOR_RETURN_IF_ERROR(TranslateOne(at, level, map));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ImageRestorer::TranslateOne(Pfn table, int level, MapFrame map) {
  const auto checked = [&](uint64_t pfn, uint64_t* to) -> absl::Status {
    if (Pfn(pfn) < end_) return map(pfn, to);
    return Malformed(absl::StrFormat(
        "the page table at pfn 0x%x names pfn 0x%x; the pfns end at 0x%x",
        table.value(), pfn, end_.value()));
  };
  Page page;
  incoming_->ReadPage(table, absl::MakeSpan(page));
  SIMVISOR_RETURN_IF_ERROR(
      TranslateTable(AbiOf(arch_), level, absl::MakeSpan(page), checked));
  return incoming_->WritePage(table, page);
}

}  // namespace simvisor
