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

TEST(FilesTest, OtherFilesAreReadUpToTheirLimit) {
  const std::string path = WriteFile(std::string(1000, 'x'));
  EXPECT_EQ(ReadFile(path, 1000).value().size(), 1000);
  EXPECT_EQ(ReadFile(path, 999).status().message(),
            path + ": more than 999 bytes, the most it can be");
}

TEST(FilesTest, BytesOfAnyKindMayBeASaveImage) {
  EXPECT_TRUE(ReadFile(WriteFile("LibxlFmt"), 1000).ok());
}

}  // namespace
}  // namespace simvisor::client
