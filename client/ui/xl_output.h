// The output of xl list and xl info.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_XL_OUTPUT_H_
#define SIMVISOR_CLIENT_UI_XL_OUTPUT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/host_service.pb.h"

namespace simvisor::client {

// The columns of a list: the columns of xl list, or with UUID and guest ABI
// appended, as by xl list -v.
enum class ListColumns { kXl, kVerbose };

// "Name", "ID", ... as xl list has them, with a newline.
std::string ListHeader(ListColumns columns);

// The line of one domain, with a newline.  Mem is in MiB, rounded down; no time
// is simulated, so Time(s) is 0.0.
std::string ListRow(const v1::Domain& domain, ListColumns columns);

// The line of an incoming domain, which xl names NAME--incoming.  Mem is the
// memory claimed for it; its virtual CPUs are not known yet.
std::string IncomingRow(const v1::IncomingDomain& domain, ListColumns columns);

// "Name", "ID", ... as xl vcpu-list has them, with a newline.
std::string VcpuListHeader();

// The line of one virtual CPU, with a newline.  Nothing is scheduled, so the
// line has no CPU and no time; the state is "-b-" (idle) in a running domain
// and "---" in any other.
std::string VcpuListRow(const v1::Domain& domain, const v1::Vcpu& vcpu,
                        uint32_t host_cpus);

// The names and values of xl info that Simvisor supports, in xl's order, and
// then its own.
std::vector<std::pair<std::string, std::string>> InfoValues(
    const v1::Host& host);

// "NAME                   : VALUE" with a newline.
std::string InfoLine(absl::string_view name, absl::string_view value);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_XL_OUTPUT_H_
