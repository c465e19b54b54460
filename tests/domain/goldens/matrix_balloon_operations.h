// Operations of the matrix on the amount of memory of a domain.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_BALLOON_OPERATIONS_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_BALLOON_OPERATIONS_H_

#include <cstdint>

#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/matrix_operation.h"

namespace simvisor {

namespace matrix_internal {

inline Outcome ToldMoved(const absl::StatusOr<PageCount>& moved) {
  return Told(moved, [](PageCount n) { return TextOf(n); });
}

inline auto Down(uint64_t pages, bool partial) {
  return [=](Scene& s) {
    return ToldMoved(calls::BalloonDown(*s.guest, pages, partial));
  };
}
inline auto Up(uint64_t pages, bool partial) {
  return [=](Scene& s) {
    return ToldMoved(calls::BalloonUp(*s.guest, pages, partial));
  };
}
inline auto Target(uint64_t pages) {
  return [=](Scene& s) { return Told(calls::SetTarget(*s.guest, pages)); };
}
inline auto MaxMemory(uint64_t pages) {
  return [=](Scene& s) { return Told(calls::SetMaxMemory(*s.guest, pages)); };
}
inline Outcome Wake(Scene& s) {
  return Told(calls::WakeBalloon(*s.guest, calls::TimerOf(*s.guest)));
}
inline Outcome WakeByOldTimer(Scene& s) {
  BalloonTimer timer = calls::TimerOf(*s.guest);
  timer.wakeups += 1;
  return Told(calls::WakeBalloon(*s.guest, timer));
}

}  // namespace matrix_internal

inline MatrixOperations BalloonOperations() {
  using namespace matrix_internal;  // NOLINT(google-build-using-namespace)
  const uint64_t many = uint64_t{1} << 40;
  return {
      {"balloon down 100", Down(100, false)},
      {"balloon down 0", Down(0, false)},
      {"balloon down too many", Down(many, false)},
      {"balloon down 100, in part", Down(100, true)},
      {"balloon down 0, in part", Down(0, true)},
      {"balloon down too many, in part", Down(many, true)},
      {"balloon down 100, stopped",
       [](Scene& s) {
         return ToldMoved(calls::BalloonDown(*s.guest, 100, false, StopNow));
       }},
      {"balloon up 100", Up(100, false)},
      {"balloon up 0", Up(0, false)},
      {"balloon up more than the machine has", Up(900, false)},
      {"balloon up more than its limit", Up(1201, false)},
      {"balloon up 100, in part", Up(100, true)},
      {"balloon up 0, in part", Up(0, true)},
      {"balloon up more than the machine has, in part", Up(900, true)},
      {"balloon up too many, in part", Up(many, true)},
      {"balloon up 100, stopped",
       [](Scene& s) {
         return ToldMoved(calls::BalloonUp(*s.guest, 100, false, StopNow));
       }},
      {"raise the limit, balloon up more than its balloon",
       [](Scene& s) {
         return Joined({MaxMemory(9000)(s), Up(1500, false)(s)});
       }},
      {"set target 2500", Target(2500)},
      {"set target 2900", Target(2900)},
      {"set target 4000", Target(kMatrixMaximum)},
      {"set target to what it has",
       [](Scene& s) {
         return Target(calls::Info(*s.guest).memory.current.value())(s);
       }},
      {"set target 1", Target(1)},
      {"set target 0", Target(0)},
      {"set target above static-max", Target(kMatrixMaximum + 1)},
      {"set target 40000", Target(40000)},
      {"set target 2500, stopped",
       [](Scene& s) {
         return Told(calls::SetTarget(*s.guest, 2500, StopNow));
       }},
      {"set target 2500, then 2900",
       [](Scene& s) {
         return Joined({Target(2500)(s), Target(2900)(s)});
       }},
      {"pause, set target 2500, unpause",
       [](Scene& s) {
         return Joined({Told(calls::Pause(*s.guest).status()), Target(2500)(s),
                        Told(calls::Unpause(*s.guest).status())});
       }},
      {"set maximum 5000", MaxMemory(5000)},
      {"set maximum to the target",
       [](Scene& s) {
         return MaxMemory(calls::Info(*s.guest).memory.target.value())(s);
       }},
      {"set maximum 10", MaxMemory(10)},
      {"set maximum too large", MaxMemory(many)},
      {"run out the driver's timer", Wake},
      {"run out a timer that is not set", WakeByOldTimer},
      {"run out the driver's timer, stopped",
       [](Scene& s) {
         return Told(
             calls::WakeBalloon(*s.guest, calls::TimerOf(*s.guest), StopNow));
       }},
  };
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_BALLOON_OPERATIONS_H_
