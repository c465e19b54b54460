// What checks of guests and of images have in common.
//
// Thread safety: functions on thread-compatible objects.

#ifndef SIMVISOR_DOMAIN_GUEST_GUEST_CHECK_H_
#define SIMVISOR_DOMAIN_GUEST_GUEST_CHECK_H_

#include "absl/strings/string_view.h"
#include "domain/collections/extent_set.h"
#include "domain/guest/free_pages.h"
#include "domain/guest/kernel_pages.h"
#include "domain/p2m/p2m_words.h"
#include "domain/units/findings.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"

namespace simvisor {

// Checks that every word of `pfns` is of class `wanted`.
void CheckClass(const P2mWords& words, PfnExtent pfns, P2mClass wanted,
                absl::string_view what, Findings& findings);

// Checks that pages of the list and free pages are RAM, and that no free page
// is a kernel page.
void CheckListAndFreePages(const P2mWords& words, const KernelPages& kernel,
                           const FreePages& free, Findings& findings);

// Checks that `pages`, which `what` names, are RAM, and neither free nor kernel
// pages.
void CheckPagesInUse(const P2mWords& words, const PfnSet& pages,
                     absl::string_view what, const KernelPages& kernel,
                     const FreePages& free, Findings& findings);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_GUEST_GUEST_CHECK_H_
