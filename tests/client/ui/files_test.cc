// Files that people write, and what they give instead of one.

#include "client/ui/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"

namespace simvisor::client {
namespace {

std::string WriteFile(const std::string& text) {
  const std::string path = testing::TempDir() + "simvisor-files-test";
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(FilesTest, SaveImageIsNoTextWhateverItsSize) {
  for (const char* begin : {"Xen saved domain, xl format\n \\0", "LibxlFmt",
                            "\xff\xff\xff\xff\xff\xff\xff\xffXENF"}) {
    for (const size_t more : {0, 1000, 200000}) {
      const std::string path = WriteFile(begin + std::string(more, 'x'));
      const auto text = ReadTextFile(path, 1000);
      EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(text.status().message(),
                path + ": is a save image; give it to restore");
    }
  }
}

TEST(FilesTest, OtherFilesAreReadUpToTheirLimit) {
  const std::string path = WriteFile(std::string(1000, 'x'));
  EXPECT_EQ(ReadTextFile(path, 1000).value().size(), 1000);
  EXPECT_EQ(ReadTextFile(path, 999).status().message(),
            path + ": more than 999 bytes, the most it can be");
}

TEST(FilesTest, BytesOfAnyKindMayBeASaveImage) {
  EXPECT_TRUE(ReadFile(WriteFile("LibxlFmt"), 1000).ok());
}

}  // namespace
}  // namespace simvisor::client
