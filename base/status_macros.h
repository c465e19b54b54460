// Return-early macros for absl::Status, which Abseil 20220623 lacks.

#ifndef SIMVISOR_BASE_STATUS_MACROS_H_
#define SIMVISOR_BASE_STATUS_MACROS_H_

#include <utility>

// Returns the status of `expr` from the enclosing function unless it is OK.
#define SIMVISOR_RETURN_IF_ERROR(expr)                          \
  do {                                                          \
    if (auto simvisor_status = (expr); !simvisor_status.ok()) { \
      return simvisor_status;                                   \
    }                                                           \
  } while (false)

// Assigns the value of a StatusOr to `lhs`, or returns its status.
#define SIMVISOR_ASSIGN_OR_RETURN(lhs, expr)                                \
  SIMVISOR_ASSIGN_OR_RETURN_IMPL_(SIMVISOR_CONCAT_(simvisor_or_, __LINE__), \
                                  lhs, expr)
#define SIMVISOR_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                    \
  if (!tmp.ok()) return std::move(tmp).status();        \
  lhs = *std::move(tmp)
#define SIMVISOR_CONCAT_(a, b) SIMVISOR_CONCAT_INNER_(a, b)
#define SIMVISOR_CONCAT_INNER_(a, b) a##b

#endif  // SIMVISOR_BASE_STATUS_MACROS_H_
