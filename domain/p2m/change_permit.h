// Shows that a p2m word may be stored now.
//
// Who maps pfns of a domain from outside, a secondary MMU, has to hear of a
// change before a word changes.  So every function that stores words takes a
// permit, and only these make one:
//
//   - ChangeScope, which is what changes a domain and tells its secondary MMUs;
//   - P2mWords::PermitWhileNew(), for words that no other thread can see yet;
//   - tests (tests/support/change_permit.h).
//
// A new way to change words that forgets to tell does not compile.
//
// Thread safety: immutable.

#ifndef SIMVISOR_DOMAIN_P2M_CHANGE_PERMIT_H_
#define SIMVISOR_DOMAIN_P2M_CHANGE_PERMIT_H_

namespace simvisor {

class ChangePermit {
 public:
  ChangePermit(const ChangePermit&) = delete;
  ChangePermit& operator=(const ChangePermit&) = delete;

 private:
  friend class ChangeScope;
  friend class P2mWords;
  friend struct ChangePermitForTests;

  constexpr ChangePermit() = default;
};

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_P2M_CHANGE_PERMIT_H_
