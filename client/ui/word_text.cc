#include "client/ui/word_text.h"

#include "absl/strings/str_format.h"

namespace simvisor::client {

std::string DescribeWord(v1::P2mClass p2m_class, uint64_t frame) {
  switch (p2m_class) {
    case v1::P2M_CLASS_RAM:
      return absl::StrFormat("pfn       mfn 0x%x", frame);
    case v1::P2M_CLASS_IDENTITY:
      return absl::StrFormat("identity  pfn 0x%x", frame);
    case v1::P2M_CLASS_FOREIGN:
      return absl::StrFormat("foreign   mfn 0x%x", frame);
    default:
      return "missing";
  }
}

}  // namespace simvisor::client
