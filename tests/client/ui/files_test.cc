#include "client/ui/files.h"

#include <fstream>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

TEST(FilesTest, FilesAreReadUpToTheirLimit) {
  const ScopedFolder folder;
  const std::string path = folder / "file";
  std::ofstream(path) << std::string(1000, 'x');
  EXPECT_EQ(ReadFile(path, 1000).value().size(), 1000);
  EXPECT_EQ(ReadFile(path, 999).status().message(),
            path + ": more than 999 bytes, the most it can be");
}

}  // namespace
}  // namespace simvisor::client
