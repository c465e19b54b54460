#include "client/session/domain_fate.h"

#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <sstream>
#include <string>

#include "client/api/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/session/looks.h"
#include "tests/client/verbs/fake_daemon.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

int64_t moved_ns = 0;
int64_t MovedClock() { return moved_ns; }

// In a child: whether the limits of a call end it as the clock goes on.
void RaiseAndLetTheGracePass() {
  std::signal(SIGTERM, SIG_DFL);
  const Interruption interruption(&MovedClock);
  const CallLimits limits = EndSoonAfter(interruption);
  const auto require = [&limits](int64_t at_ns, bool must_end) {
    moved_ns = at_ns;
    if (limits.must_end() != must_end) _exit(9);
  };
  const int64_t grace_ns = absl::ToInt64Nanoseconds(kCallGrace);
  require(5 * grace_ns, false);
  std::raise(SIGTERM);
  require(5 * grace_ns, false);
  require(6 * grace_ns - 1, false);
  require(6 * grace_ns, true);
}

TEST(EndSoonAfterTest, CallHasItsGraceFromTheSignalOn) {
  EXPECT_EXIT(RaiseAndLetTheGracePass(), testing::KilledBySignal(SIGTERM), "");
}

class DomainFateTest : public testing::Test {
 protected:
  std::string Find(const Patience& patience = Looks(9)) {
    const auto client = Client::Create(address_, Client::Options());
    EXPECT_TRUE(client.ok()) << client.status();
    v1::DomainRef web;
    web.set_name("web");
    return FindDomainFate(**client, web, "is gone", patience);
  }

  void HaveWeb(const std::string& state, const std::string& more = "") {
    daemon_.Answer("GetDomain", {"domain { domid: 3 name: 'web' state: "
                                 "DOMAIN_STATE_" +
                                 state + " " + more + " }"});
  }

  // What a command prints whose call ended with `status`, on both streams.
  std::string End(const absl::Status& status, const std::string& output) {
    std::ostringstream out;
    Session session({.out = out, .err = out});
    session.options().output = output;
    session.out() << "its output\n";
    AnnounceAsking(session);
    EndInterrupted(session, status, "web is gone");
    return out.str();
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDaemon daemon_{address_};
};

TEST_F(DomainFateTest, EachStateIsSaid) {
  for (const auto& [state, text] :
       {std::pair("RUNNING", "web (3) runs here"),
        std::pair("PAUSED", "web (3) is paused here"),
        std::pair("BUILT", "web (3) is paused here"),
        std::pair("DYING", "web (3) is being destroyed here")}) {
    HaveWeb(state);
    EXPECT_EQ(Find(), text);
    daemon_.Forget("GetDomain");
  }
}

TEST_F(DomainFateTest, DomainThatIsNotThereIsGone) {
  daemon_.Refuse("GetDomain", grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                 "no such domain");
  EXPECT_EQ(Find(), "web is gone");
}

TEST_F(DomainFateTest, SuspendedDomainIsAskedForAgain) {
  HaveWeb("PAUSED", "suspended: true");
  HaveWeb("PAUSED", "suspended: true");
  HaveWeb("RUNNING");
  EXPECT_EQ(Find(), "web (3) runs here");
}

TEST_F(DomainFateTest, DomainThatStaysSuspendedIsNotClaimedToRun) {
  HaveWeb("PAUSED", "suspended: true");
  EXPECT_EQ(Find(Looks(2)),
            "web (3) is suspended here; list shows what becomes of it");
  EXPECT_EQ(daemon_.TakeRequests().size(), 2);
}

TEST_F(DomainFateTest, LookThatTakesTooLongDoesNotHideWhatIsKnown) {
  HaveWeb("PAUSED", "suspended: true");
  daemon_.Refuse("GetDomain", grpc::StatusCode::DEADLINE_EXCEEDED, "", "late");
  EXPECT_EQ(Find(), "web (3) is suspended here; list shows what becomes of it");
}

TEST_F(DomainFateTest, SuspendedDomainThatIsGoneLaterIsGone) {
  HaveWeb("PAUSED", "suspended: true");
  daemon_.Refuse("GetDomain", grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                 "no such domain");
  EXPECT_EQ(Find(), "web is gone");
}

TEST_F(DomainFateTest, DaemonThatRefusesLeavesItOpen) {
  daemon_.Refuse("GetDomain", grpc::StatusCode::INTERNAL, "", "broken");
  EXPECT_EQ(Find(), "what became of web is not known: broken (INTERNAL)");
}

TEST_F(DomainFateTest, MemoryIsSaidWithItsTarget) {
  v1::DomainRef web;
  web.set_name("web");
  const auto client = Client::Create(address_, Client::Options());
  HaveWeb("RUNNING",
          "memory { current_pages: 131072 target_pages: 65536 "
          "foreign_held_pages: 256 }");
  EXPECT_EQ(FindMemoryFate(**client, web, Looks(9)),
            "web (3) has 511 MiB (130816 pages) and a target of 256 MiB (65536 "
            "pages)");
  daemon_.Forget("GetDomain");
  daemon_.Refuse("GetDomain", grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                 "no such domain");
  EXPECT_EQ(FindMemoryFate(**client, web, Looks(9)), "web is gone");
}

TEST_F(DomainFateTest, CancellationByTheSignalIsNoError) {
  const std::string note =
      "its output\n"
      "interrupted; asking the daemon what became of it\n"
      "note: interrupted: web is gone\n";
  EXPECT_EQ(End(absl::CancelledError("interrupted"), "text"), note);
  EXPECT_EQ(End(absl::OkStatus(), "text"), note);
  EXPECT_EQ(
      End(FromGrpc({grpc::StatusCode::ABORTED, "changed"}, address_), "text"),
      note + "changed (ABORTED)\n");
}

TEST_F(DomainFateTest, InterruptedCommandPrintsJsonOnly) {
  EXPECT_EQ(End(absl::CancelledError("interrupted"), "json"),
            "its output\n"
            "{\"note\":\"interrupted: web is gone\"}\n");
}

}  // namespace
}  // namespace simvisor::client
