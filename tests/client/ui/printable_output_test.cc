#include "client/ui/printable_output.h"

#include <ostream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "simvisor/v1/host_service.pb.h"
#include "simvisor/v1/live_migration.pb.h"
#include "simvisor/v1/memory_service.pb.h"

namespace simvisor::client {
namespace {

class PrintableBufTest : public testing::Test {
 protected:
  std::ostringstream to_;
  PrintableBuf buf_{to_};
  std::ostream out_{&buf_};
};

TEST_F(PrintableBufTest, LayoutPassesButEscapesDoNot) {
  out_ << "Name\tID\n" << 'x' << "\x1b[31m\r\xc2\x9b\xe2\x80\xae!\n";
  EXPECT_EQ(to_.str(), "Name\tID\nx\\x1b[31m\\x0d\\u009b\\u202e!\n");
}

TEST_F(PrintableBufTest, CharactersMayComeInPieces) {
  for (const char c : std::string("\xe2\x82\xac\xf0\x9f\x98\x80\xc2\x9b")) {
    out_.put(c);
  }
  EXPECT_EQ(to_.str(), "\xe2\x82\xac\xf0\x9f\x98\x80\\u009b");
}

TEST_F(PrintableBufTest, IncompleteCharacterIsEscapedWhenFlushed) {
  out_ << "a\xe2\x82";
  EXPECT_EQ(to_.str(), "a");
  out_ << std::flush;
  EXPECT_EQ(to_.str(), "a\\xe2\\x82");
}

TEST_F(PrintableBufTest, FailureOfTheUnderlyingStreamIsReported) {
  to_.setstate(std::ios::badbit);
  out_ << "text";
  EXPECT_FALSE(out_.flush());
}

TEST(MakePrintableTest, EscapesStringsButNotBytes) {
  v1::ListMigrationsResponse list;
  list.add_migrations()->set_name("a\nb");
  list.add_migrations()->set_message("\x1b[2J");
  MakePrintable(list);
  EXPECT_EQ(list.migrations(0).name(), "a\\x0ab");
  EXPECT_EQ(list.migrations(1).message(), "\\x1b[2J");

  v1::AuditHostResponse audit;
  audit.add_findings("one\rtwo");
  audit.add_findings("fine");
  MakePrintable(audit);
  EXPECT_THAT(audit.findings(), testing::ElementsAre("one\\x0dtwo", "fine"));

  v1::ReadGuestMemoryResponse read;
  read.set_data("\x1b");
  MakePrintable(read);
  EXPECT_EQ(read.data(), "\x1b");
}

}  // namespace
}  // namespace simvisor::client
