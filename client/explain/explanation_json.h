// An explanation as JSON.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_EXPLAIN_EXPLANATION_JSON_H_
#define SIMVISOR_CLIENT_EXPLAIN_EXPLANATION_JSON_H_

#include "client/explain/explanation.h"
#include "client/ui/json.h"

namespace simvisor::client {

// The fields that docs/boot-logs.md lists.
Json ExplanationToJson(const Explanation& explanation);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_EXPLAIN_EXPLANATION_JSON_H_
