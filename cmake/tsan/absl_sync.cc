// Makes Debian's Abseil locks known to ThreadSanitizer.
//
// The packaged library is not instrumented, so every access under an
// absl::Mutex would be reported as a race.  The linker redirects calls of the
// functions below to this file (--wrap, see SimvisorTsan.cmake); each tells the
// sanitizer what happens and calls the real one.
//
// Waits for a condition poll it instead: the real ones let the thread that
// unlocks the mutex evaluate it, inside the library.  LockWhen() is not
// covered.
//
// The library's own deadlock detector works under a lock that the sanitizer
// cannot see either; what it copies with memmove() looks like races, which are
// suppressed.
//
// Thread safety: no state of its own.

#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#define SIMVISOR_MUTEX(name) _ZN4absl7debian35Mutex##name
#define SIMVISOR_JOIN2(a, b) a##b
#define SIMVISOR_JOIN(a, b) SIMVISOR_JOIN2(a, b)
#define SIMVISOR_REAL(symbol) SIMVISOR_JOIN(__real_, symbol)
#define SIMVISOR_WRAP(symbol) SIMVISOR_JOIN(__wrap_, symbol)

#define SIMVISOR_WRAP_LOCK(name, flags)                        \
  void SIMVISOR_REAL(SIMVISOR_MUTEX(name))(absl::Mutex*);      \
  void SIMVISOR_WRAP(SIMVISOR_MUTEX(name))(absl::Mutex * mu) { \
    __tsan_mutex_pre_lock(mu, flags);                          \
    SIMVISOR_REAL(SIMVISOR_MUTEX(name))(mu);                   \
    __tsan_mutex_post_lock(mu, flags, 0);                      \
  }
#define SIMVISOR_WRAP_TRY_LOCK(name, flags)                                  \
  bool SIMVISOR_REAL(SIMVISOR_MUTEX(name))(absl::Mutex*);                    \
  bool SIMVISOR_WRAP(SIMVISOR_MUTEX(name))(absl::Mutex * mu) {               \
    __tsan_mutex_pre_lock(mu, (flags) | __tsan_mutex_try_lock);              \
    const bool locked = SIMVISOR_REAL(SIMVISOR_MUTEX(name))(mu);             \
    __tsan_mutex_post_lock(mu,                                               \
                           (flags) | __tsan_mutex_try_lock |                 \
                               (locked ? 0u : __tsan_mutex_try_lock_failed), \
                           0);                                               \
    return locked;                                                           \
  }
#define SIMVISOR_WRAP_UNLOCK(name, flags)                      \
  void SIMVISOR_REAL(SIMVISOR_MUTEX(name))(absl::Mutex*);      \
  void SIMVISOR_WRAP(SIMVISOR_MUTEX(name))(absl::Mutex * mu) { \
    __tsan_mutex_pre_unlock(mu, flags);                        \
    SIMVISOR_REAL(SIMVISOR_MUTEX(name))(mu);                   \
    __tsan_mutex_post_unlock(mu, flags);                       \
  }

extern "C" {

const char* __tsan_default_suppressions() {
  return "race:absl::debian3::synchronization_internal::GraphCycles\n";
}

SIMVISOR_WRAP_LOCK(4LockEv, 0u)
SIMVISOR_WRAP_TRY_LOCK(7TryLockEv, 0u)
SIMVISOR_WRAP_UNLOCK(6UnlockEv, 0u)
SIMVISOR_WRAP_LOCK(10ReaderLockEv, __tsan_mutex_read_lock)
SIMVISOR_WRAP_TRY_LOCK(13ReaderTryLockEv, __tsan_mutex_read_lock)
SIMVISOR_WRAP_UNLOCK(12ReaderUnlockEv, __tsan_mutex_read_lock)

// The constructor is inline and announces the mutex by itself.
void SIMVISOR_REAL(SIMVISOR_MUTEX(D1Ev))(absl::Mutex*);
void SIMVISOR_WRAP(SIMVISOR_MUTEX(D1Ev))(absl::Mutex* mu) {
  SIMVISOR_REAL(SIMVISOR_MUTEX(D1Ev))(mu);
  __tsan_mutex_destroy(mu, __tsan_mutex_not_static);
}

void __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar*,
                                                       absl::Mutex*);
void __wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* cv,
                                                       absl::Mutex* mu) {
  __tsan_mutex_pre_unlock(mu, 0);
  __tsan_mutex_post_unlock(mu, 0);
  __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(cv, mu);
  __tsan_mutex_pre_lock(mu, 0);
  __tsan_mutex_post_lock(mu, 0, 0);
}

// Await(), AwaitWithDeadline() and AwaitWithTimeout(), without the real ones.
static bool AwaitUntil(absl::Mutex* mu, const absl::Condition& condition,
                       absl::Time deadline) {
  while (!condition.Eval()) {
    if (absl::Now() >= deadline) return false;
    mu->Unlock();
    absl::SleepFor(absl::Microseconds(100));
    mu->Lock();
  }
  return true;
}
void __wrap__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(
    absl::Mutex* mu, const absl::Condition& condition) {
  AwaitUntil(mu, condition, absl::InfiniteFuture());
}
bool __wrap__ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE(
    absl::Mutex* mu, const absl::Condition& condition, absl::Time deadline) {
  return AwaitUntil(mu, condition, deadline);
}
bool __wrap__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    absl::Mutex* mu, const absl::Condition& condition, absl::Duration timeout) {
  return AwaitUntil(mu, condition, absl::Now() + timeout);
}

void __real__ZN4absl7debian312Notification6NotifyEv(absl::Notification*);
void __wrap__ZN4absl7debian312Notification6NotifyEv(absl::Notification* n) {
  __tsan_release(n);
  __real__ZN4absl7debian312Notification6NotifyEv(n);
}

void __real__ZNK4absl7debian312Notification19WaitForNotificationEv(
    const absl::Notification*);
void __wrap__ZNK4absl7debian312Notification19WaitForNotificationEv(
    absl::Notification* n) {
  __real__ZNK4absl7debian312Notification19WaitForNotificationEv(n);
  __tsan_acquire(n);
}

bool __real__ZN4absl7debian315BlockingCounter14DecrementCountEv(
    absl::BlockingCounter*);
bool __wrap__ZN4absl7debian315BlockingCounter14DecrementCountEv(
    absl::BlockingCounter* counter) {
  __tsan_release(counter);
  return __real__ZN4absl7debian315BlockingCounter14DecrementCountEv(counter);
}

void __real__ZN4absl7debian315BlockingCounter4WaitEv(absl::BlockingCounter*);
void __wrap__ZN4absl7debian315BlockingCounter4WaitEv(
    absl::BlockingCounter* counter) {
  __real__ZN4absl7debian315BlockingCounter4WaitEv(counter);
  __tsan_acquire(counter);
}

}  // extern "C"
