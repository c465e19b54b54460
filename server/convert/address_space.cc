#include "server/convert/address_space.h"

#include "absl/strings/str_cat.h"
#include "server/convert/argument.h"

namespace simvisor::server {

absl::StatusOr<PaeKernel> FromProto(absl::string_view field,
                                    const v1::PaeKernel& kernel) {
  PaeKernel out;
  out.shared_kernel_pmd = kernel.shared_kernel_pmd();
  switch (kernel.split()) {
    case v1::KERNEL_SPLIT_UNSPECIFIED:
    case v1::KERNEL_SPLIT_3G_1G:
      out.user_pgds = 3;
      return out;
    case v1::KERNEL_SPLIT_2G_2G:
      out.user_pgds = 2;
      return out;
    case v1::KERNEL_SPLIT_1G_3G:
      out.user_pgds = 1;
      return out;
    default:
      return UnknownValue(absl::StrCat(field, ".split"), kernel.split(),
                          "KERNEL_SPLIT_3G_1G, KERNEL_SPLIT_2G_2G or "
                          "KERNEL_SPLIT_1G_3G");
  }
}

void ToProto(const PaeKernel& kernel, v1::PaeKernel* out) {
  out->set_shared_kernel_pmd(kernel.shared_kernel_pmd);
  out->set_split(kernel.user_pgds == 3   ? v1::KERNEL_SPLIT_3G_1G
                 : kernel.user_pgds == 2 ? v1::KERNEL_SPLIT_2G_2G
                                         : v1::KERNEL_SPLIT_1G_3G);
}

void ToProto(const AddressSpaceTotals& totals, v1::AddressSpaceTotals* out) {
  out->set_address_spaces(totals.spaces);
  out->set_shared_kernel_pmd(totals.shared_kernel_pmd);
  out->set_pgd_bytes(static_cast<uint32_t>(totals.pgd_bytes));
  out->set_pgd_frames(totals.pgd_frames.value());
  out->set_pmd_frames(totals.pmd_frames.value());
  out->set_kernel_pmd_copies(totals.kernel_pmd_copies.value());
  out->set_on_pgd_list(totals.listed);
  out->set_entries_rewritten(totals.entries_rewritten);
}

void ToProto(const AddressSpaceInfo& space, v1::AddressSpace* out) {
  out->set_id(space.id);
  out->set_pgd_mfn(space.pgd.value());
  out->set_pgd_offset_bytes(static_cast<uint32_t>(space.pgd_offset));
  for (const Mfn pmd : space.pmds) {
    out->add_pmd_mfns(pmd.is_none() ? 0 : pmd.value());
  }
  out->set_on_pgd_list(space.listed);
}

}  // namespace simvisor::server
