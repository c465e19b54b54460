#include "client/ui/run_printer.h"

#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {
namespace {

bool HasFrames(v1::P2mClass p2m_class) {
  return p2m_class == v1::P2M_CLASS_RAM || p2m_class == v1::P2M_CLASS_FOREIGN;
}

absl::string_view ClassLabel(v1::P2mClass p2m_class, bool by_frame) {
  switch (p2m_class) {
    case v1::P2M_CLASS_RAM:
      return "pfn";
    case v1::P2M_CLASS_FOREIGN:
      return by_frame ? "foreign" : "pfn";
    case v1::P2M_CLASS_IDENTITY:
      return "identity";
    case v1::P2M_CLASS_MISSING:
      return "missing";
    default:
      return "abnormal";
  }
}

}  // namespace

bool RunPrinter::Continues(const v1::P2mRun& run) const {
  if (ClassLabel(held_->p2m_class(), by_frame_) !=
      ClassLabel(run.p2m_class(), by_frame_)) {
    return false;
  }
  return !by_frame_ || !HasFrames(run.p2m_class()) ||
         run.first_frame() == held_->first_frame() + held_->count();
}

void RunPrinter::Add(const v1::P2mRun& run) {
  if (held_ && Continues(run)) {
    held_->set_count(held_->count() + run.count());
    return;
  }
  Flush();
  held_ = run;
}

void RunPrinter::Flush() {
  if (!held_) return;
  out_ << absl::StrFormat(" [0x%x->0x%x] %s", held_->first_pfn(),
                          held_->first_pfn() + held_->count(),
                          ClassLabel(held_->p2m_class(), by_frame_));
  if (by_frame_ && HasFrames(held_->p2m_class())) {
    out_ << absl::StrFormat(" mfn 0x%x->0x%x", held_->first_frame(),
                            held_->first_frame() + held_->count());
  }
  out_ << "\n";
  held_.reset();
}

}  // namespace simvisor::client
