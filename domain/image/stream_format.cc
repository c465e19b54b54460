#include "domain/image/stream_format.h"

namespace simvisor {

absl::string_view RecordName(uint32_t type) {
  switch (static_cast<RecordType>(type & ~kOptionalRecord)) {
    case RecordType::kEnd:
      return "END";
    case RecordType::kPageData:
      return "PAGE_DATA";
    case RecordType::kX86PvInfo:
      return "X86_PV_INFO";
    case RecordType::kX86PvP2mFrames:
      return "X86_PV_P2M_FRAMES";
    case RecordType::kX86PvVcpuBasic:
      return "X86_PV_VCPU_BASIC";
    case RecordType::kX86PvVcpuExtended:
      return "X86_PV_VCPU_EXTENDED";
    case RecordType::kX86PvVcpuXsave:
      return "X86_PV_VCPU_XSAVE";
    case RecordType::kSharedInfo:
      return "SHARED_INFO";
    case RecordType::kX86TscInfo:
      return "X86_TSC_INFO";
    case RecordType::kHvmContext:
      return "HVM_CONTEXT";
    case RecordType::kHvmParams:
      return "HVM_PARAMS";
    case RecordType::kToolstack:
      return "TOOLSTACK";
    case RecordType::kX86PvVcpuMsrs:
      return "X86_PV_VCPU_MSRS";
    case RecordType::kVerify:
      return "VERIFY";
    case RecordType::kCheckpoint:
      return "CHECKPOINT";
    case RecordType::kCheckpointDirtyPfnList:
      return "CHECKPOINT_DIRTY_PFN_LIST";
    case RecordType::kStaticDataEnd:
      return "STATIC_DATA_END";
    case RecordType::kX86CpuidPolicy:
      return "X86_CPUID_POLICY";
    case RecordType::kX86MsrPolicy:
      return "X86_MSR_POLICY";
  }
  return "unknown";
}

bool IsPageType(uint64_t number) { return number < 5 || number > 8; }

bool CarriesData(PageType type) { return type < PageType::kBroken; }

bool WantsFrame(PageType type) {
  return CarriesData(type) || type == PageType::kAllocate;
}

int TableLevel(PageType type) {
  return CarriesData(type) ? static_cast<int>(type) & 7 : 0;
}

}  // namespace simvisor
