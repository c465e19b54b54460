// Variables in strings of a message.

#include "client/script/variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "simvisor/v1/domain_service.pb.h"

namespace simvisor::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A message with `text` in a string and in the second element of a list.
v1::CreateDomainRequest With(const std::string& text) {
  v1::CreateDomainRequest request;
  request.mutable_spec()->set_name(text);
  request.mutable_spec()->add_pci_devices("plain");
  request.mutable_spec()->add_pci_devices(text);
  return request;
}

std::string Expanded(const std::string& text) {
  v1::CreateDomainRequest request = With(text);
  ExpandVariables({{"id", "7"}, {"name", "${id}"}}, request);
  EXPECT_EQ(request.spec().pci_devices(1), request.spec().name());
  EXPECT_EQ(request.spec().pci_devices(0), "plain");
  return request.spec().name();
}

std::set<std::string> Found(const std::string& text) {
  std::set<std::string> names;
  EXPECT_TRUE(FindVariables(With(text), names).ok()) << text;
  return names;
}

TEST(VariablesTest, AreFoundAndReplacedInStrings) {
  EXPECT_THAT(Found("web-${id}-${name}${id}"), ElementsAre("id", "name"));
  EXPECT_EQ(Expanded("web-${id}-${id}"), "web-7-7");
  EXPECT_EQ(Expanded("${id}"), "7");
}

TEST(VariablesTest, ValuesAreNotExpandedAgain) {
  EXPECT_EQ(Expanded("${name}"), "${id}");
}

TEST(VariablesTest, DollarsWithoutABraceStayAndTwoEscapeOne) {
  EXPECT_THAT(Found("$ $$ $x $${id}"), IsEmpty());
  EXPECT_EQ(Expanded("$ $$ $x {} }"), "$ $$ $x {} }");
  EXPECT_EQ(Expanded("a$${id} ${id}"), "a${id} 7");
}

TEST(VariablesTest, MalformedUseIsRefused) {
  for (const std::string text : {"${", "${id", "${}", "${1}", "${a b}"}) {
    std::set<std::string> names;
    EXPECT_THAT(FindVariables(With(text), names).message(),
                HasSubstr("write $${ for ${ itself"))
        << text;
  }
}

TEST(VariablesTest, NamesAreThoseOfPrograms) {
  EXPECT_TRUE(IsVariableName("_"));
  EXPECT_TRUE(IsVariableName("web_2"));
  EXPECT_TRUE(IsVariableName(std::string(kMaxVariableName, 'a')));
  EXPECT_FALSE(IsVariableName(std::string(kMaxVariableName + 1, 'a')));
  for (const char* name : {"", "2web", "we-b", "a.b", "\xc3\xa9"}) {
    EXPECT_FALSE(IsVariableName(name)) << name;
  }
}

}  // namespace
}  // namespace simvisor::client
