// mem-set, mem-max, balloon, identity.

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

class MemoryVerbsTest : public VerbTest {
 protected:
  // The domain dom2, with what `driver` says of its balloon driver, and
  // `memory` of its memory.
  void HaveDom2(const std::string& driver, const std::string& memory = "") {
    daemon_.Forget("GetDomain");
    daemon_.Answer("GetDomain",
                   {absl::StrCat("domain { domid: 2 name: 'dom2' state: "
                                 "DOMAIN_STATE_RUNNING memory { "
                                 "current_pages: 768 ",
                                 memory, " } ", driver, "}")});
  }
  // Has mem-set stop short of 512 pages with this shortfall.
  void ShortMove(const std::string& shortfall) {
    daemon_.Forget("SetMemoryTarget");
    daemon_.Answer("SetMemoryTarget",
                   {absl::StrCat("memory { target_pages: 512 current_pages: "
                                 "256 shortfall { ",
                                 shortfall, " } }")});
  }
};

TEST_F(MemoryVerbsTest, MemSet) {
  Begin("mem-set");
  daemon_.Answer("SetMemoryTarget",
                 {"memory { target_pages: 512 current_pages: 512 }"});
  Run("mem-set dom2 2");
  Note("A move that stops short is noted, but is not an error");
  ShortMove("cause: CAUSE_HOST_FULL retry_seconds: 8");
  Run("mem-set dom2 2");
  Run("mem-set 7 2");
  Note("... with what the driver does next");
  ShortMove("cause: CAUSE_MOVING retry_seconds: 1");
  Run("mem-set dom2 2");
  ShortMove("cause: CAUSE_BALLOON_EMPTY given_up: true");
  Run("mem-set dom2 2");
  ShortMove("cause: CAUSE_GUEST_MEMORY given_up: true retry_seconds: 3600");
  Run("mem-set dom2 2");
  ShortMove("cause: CAUSE_NOT_RUNNING");
  Run("mem-set dom2 2");
  Note("Pages that other domains map do not count as a short move");
  daemon_.Forget("SetMemoryTarget");
  daemon_.Answer("SetMemoryTarget", {"memory { target_pages: 512 "
                                     "current_pages: 768 "
                                     "foreign_held_pages: 256 }"});
  Run("mem-set dom2 2");
  Run("mem-set dom2 2x");
  Run("mem-set dom2");
}

TEST_F(MemoryVerbsTest, MemMax) {
  Begin("mem-max");
  daemon_.Answer("SetMaxMemory");
  Run("mem-max web 1g");
  Note("A guest that has no pfns for it is noted");
  daemon_.Forget("SetMaxMemory");
  daemon_.Answer("SetMaxMemory",
                 {"memory { current_pages: 768 balloon_pages: 256 "
                  "available_pages: 700 static_max_pages: 262144 }"});
  Run("mem-max web 1g");
  Run("mem-max web lots");
}

TEST_F(MemoryVerbsTest, BalloonDown) {
  Begin("balloon down");
  daemon_.Answer("BalloonDown", {"moved_pages: 8 memory { current_pages: 512 "
                                 "balloon_pages: 300 }"});
  Run("balloon down web 10 --partial");
  Run("balloon down web 4m -o json");
  Run("balloon down web 4097b");
}

TEST_F(MemoryVerbsTest, BalloonUp) {
  Begin("balloon up");
  daemon_.Answer("BalloonUp", {"moved_pages: 1 memory { current_pages: 513 }"});
  Run("balloon up 7 1");
  Run("balloon up dom2 1x");
}

TEST_F(MemoryVerbsTest, BalloonState) {
  Begin("balloon state");
  HaveDom2(
      "balloon_driver { current_pages: 768 target_pages: 868 "
      "low_pages: 900 state: BALLOON_STATE_AGAIN "
      "schedule_delay_seconds: 4 "
      "extra_regions { first_pfn: 0x300 count: 1000 } }",
      "foreign_held_pages: 5 shortfall { cause: CAUSE_HOST_FULL "
      "missing_pages: 100 reachable_pages: 768 retry_seconds: 4 }");
  Run("balloon state dom2");
  Note("JSON has the shortfall beside the driver's fields");
  Run("balloon state dom2 -o json");
  Note("A driver with fewer figures, which has not run");
  HaveDom2(
      "balloon_driver { current_pages: 768 target_pages: 700 "
      "max_retry_count: 4 }");
  Run("balloon state dom2");
  Note("A guest that has not booted has no driver");
  HaveDom2("");
  Run("balloon state dom2");
  Run("balloon state");
}

TEST_F(MemoryVerbsTest, IdentityMark) {
  Begin("identity mark");
  daemon_.Answer("MarkIdentityRange", {"marked_pages: 4 released_pages: 2 "
                                       "p2m_pages_taken: 1"});
  Run("identity mark web 0x10 20 --release");
  Run("identity mark web 0x10 end");
  Run("identity mark web ten end");
}

}  // namespace
}  // namespace simvisor::client
