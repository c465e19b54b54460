#include "client/ui/domain_text.h"

#include <utility>

#include "client/ui/quantities.h"
#include "gtest/gtest.h"

namespace simvisor::client {
namespace {

TEST(DomainTextTest, KnownDomainHasNameAndDomid) {
  v1::Domain domain;
  domain.set_domid(3);
  EXPECT_EQ(DomainText(domain), "domain 3") << "a domain that is dying";
  domain.set_name("web");
  EXPECT_EQ(DomainText(domain), "web (3)");
}

TEST(DomainTextTest, DomainOfTheCommandLineIsNamedAsTyped) {
  for (const auto& [typed, text] :
       {std::pair("3", "domain 3"), std::pair("web", "web"),
        std::pair("c0ffee00-0000-4000-8000-000000000001",
                  "c0ffee00-0000-4000-8000-000000000001")}) {
    const auto ref = ParseDomain(typed);
    ASSERT_TRUE(ref.ok()) << typed;
    EXPECT_EQ(DomainText(*ref), text);
  }
}

}  // namespace
}  // namespace simvisor::client
