#include "domain/units/size_text.h"

#include <string>

#include "base/size.h"

namespace simvisor {

std::string SizeText(PageCount pages) { return SizeOfPages(pages.value()); }

}  // namespace simvisor
