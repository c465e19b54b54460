// Makes Debian's Abseil locks known to ThreadSanitizer.
//
// The packaged library is not instrumented, so that every access under an
// absl::Mutex would be reported as a race.  The linker sends calls of the
// functions below here first (--wrap, see SimvisorTsan.cmake); each tells the
// sanitizer what happens and calls the real one.  Condition functions, that is
// Await() and LockWhen(), are not covered.
//
// Thread safety: no state of its own.

#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

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

}  // extern "C"
