#include "domain/units/p2m_word.h"

#include "absl/strings/str_format.h"

namespace simvisor {

absl::string_view P2mClassName(P2mClass c) {
  switch (c) {
    case P2mClass::kRam:
      return "pfn";
    case P2mClass::kIdentity:
      return "identity";
    case P2mClass::kForeign:
      return "foreign";
    case P2mClass::kMissing:
      return "missing";
  }
  return "abnormal";
}

std::string P2mWord::ToString() const {
  switch (Class()) {
    case P2mClass::kRam:
      return absl::StrFormat("ram:0x%x", Number());
    case P2mClass::kIdentity:
      return absl::StrFormat("identity:0x%x", Number());
    case P2mClass::kForeign:
      return absl::StrFormat("foreign:0x%x", Number());
    case P2mClass::kMissing:
      break;
  }
  return "INVALID";
}

}  // namespace simvisor
