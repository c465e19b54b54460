// A p2m word as the commands print it.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_WORD_TEXT_H_
#define SIMVISOR_CLIENT_UI_WORD_TEXT_H_

#include <cstdint>
#include <string>

#include "simvisor/v1/common.pb.h"

namespace simvisor::client {

// "pfn       mfn 0x1234", "identity  pfn 0x1234", "missing", ...; `frame` as in
// TranslatePfnsResponse.
std::string DescribeWord(v1::P2mClass p2m_class, uint64_t frame);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_WORD_TEXT_H_
