// Users start from the files in examples/, so the client must be able to read
// each of them.  A test with a daemon runs the scripts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/script/script_file.h"
#include "client/ui/files.h"
#include "client/xl/domain_config.h"

namespace simvisor::client {
namespace {

// Files of examples/ with this extension; tests run in the project's root.
std::vector<std::string> Examples(const std::string& extension) {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator("examples")) {
    if (entry.path().extension() == extension) {
      paths.push_back(entry.path().string());
    }
  }
  return paths;
}

TEST(ExamplesTest, EveryConfigHasKnownKeysOnly) {
  const auto paths = Examples(".cfg");
  ASSERT_GE(paths.size(), 4u);
  for (const std::string& path : paths) {
    const auto text = ReadFile(path, 1 << 20);
    ASSERT_TRUE(text.ok()) << text.status();
    std::vector<std::string> warnings;
    const auto spec = ParseDomainConfig(path, *text, {}, warnings);
    ASSERT_TRUE(spec.ok()) << spec.status();
    // Examples have devices and a kernel, as real files do.
    EXPECT_THAT(warnings,
                testing::Each(testing::StartsWith("without effect here: ")))
        << path;
  }
}

TEST(ExamplesTest, EveryScriptParsesAndEndsWithACleanAudit) {
  const auto paths = Examples(".textproto");
  ASSERT_GE(paths.size(), 17u);
  for (const std::string& path : paths) {
    const auto text = ReadFile(path, kMaxScriptBytes);
    ASSERT_TRUE(text.ok()) << text.status();
    const auto file = ParseScript(path, *text);
    ASSERT_TRUE(file.ok()) << file.status();
    const auto& steps = file->script.cleanup().empty() ? file->script.steps()
                                                       : file->script.cleanup();
    const v1::Step& last = *steps.rbegin();
    EXPECT_TRUE(last.audit_host().expect().clean()) << path;
  }
}

// The pieces of text format in the manual, which make one script together.
TEST(ExamplesTest, ScriptsInTheManualAreSound) {
  const auto manual = ReadFile("docs/scripts.md", 1 << 20);
  ASSERT_TRUE(manual.ok()) << manual.status();
  std::string script;
  const std::vector<absl::string_view> parts = absl::StrSplit(*manual, "```");
  for (absl::string_view part : parts) {
    if (absl::ConsumePrefix(&part, "textproto\n")) {
      absl::StrAppend(&script, part);
    }
  }
  const auto file = ParseScript("docs/scripts.md", script);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_GE(file->script.steps_size(), 6);
}

}  // namespace
}  // namespace simvisor::client
