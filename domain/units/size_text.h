// Amounts of memory in messages.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_UNITS_SIZE_TEXT_H_
#define SIMVISOR_DOMAIN_UNITS_SIZE_TEXT_H_

#include <string>

#include "domain/units/units.h"

namespace simvisor {

// As SizeOfPages() in base/size.h says it: "512 MiB (131072 pages)".
std::string SizeText(PageCount pages);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_UNITS_SIZE_TEXT_H_
