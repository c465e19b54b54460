#include "base/version.h"

namespace simvisor {

const char kVersion[] = SIMVISOR_VERSION;

}  // namespace simvisor
