// Whether a test runs under AddressSanitizer or ThreadSanitizer, which cost
// address space and time.

#ifndef SIMVISOR_TESTS_SUPPORT_SANITIZED_H_
#define SIMVISOR_TESTS_SUPPORT_SANITIZED_H_

namespace simvisor {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // g++
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)  // clang
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_SANITIZED_H_
