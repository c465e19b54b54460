# Tells ThreadSanitizer about Abseil's locks; see tsan/absl_sync.cc.

# An object library, because shared libraries use the wrappers too.
add_library(simvisor_tsan OBJECT
  ${CMAKE_CURRENT_LIST_DIR}/tsan/absl_sync.cc)
target_link_libraries(simvisor_tsan PUBLIC absl::synchronization)

foreach(symbol
    _ZN4absl7debian35Mutex4LockEv
    _ZN4absl7debian35Mutex7TryLockEv
    _ZN4absl7debian35Mutex6UnlockEv
    _ZN4absl7debian35Mutex10ReaderLockEv
    _ZN4absl7debian35Mutex13ReaderTryLockEv
    _ZN4absl7debian35Mutex12ReaderUnlockEv
    _ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE
    _ZN4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE
    _ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE
    _ZN4absl7debian35MutexD1Ev
    _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE
    _ZN4absl7debian315BlockingCounter14DecrementCountEv
    _ZN4absl7debian315BlockingCounter4WaitEv
    _ZN4absl7debian312Notification6NotifyEv
    _ZNK4absl7debian312Notification19WaitForNotificationEv)
  target_link_options(simvisor_tsan INTERFACE LINKER:--wrap=${symbol})
endforeach()
