#include "server/listen/default_address.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

TEST(ServerDefaultAddressTest, RuntimeFolderComesFirst) {
  EXPECT_EQ(DefaultSocketPath("/run/user/7", 7), "/run/user/7/simvisor.sock");
  EXPECT_EQ(DefaultSocketPath("/run/user/0", 0), "/run/user/0/simvisor.sock");
}

TEST(ServerDefaultAddressTest, WithoutRuntimeFolder) {
  EXPECT_EQ(DefaultSocketPath(std::nullopt, 0), "/run/simvisor.sock");
  EXPECT_EQ(DefaultSocketPath(std::nullopt, 7),
            "/tmp/simvisor-7/simvisor.sock");
}

TEST(ServerDefaultAddressTest, PrivateFolderIsMadeAndAcceptedAgain) {
  const ScopedFolder folder;
  const std::string path = folder / "own";
  ASSERT_THAT(EnsurePrivateFolder(path, geteuid()), IsOk());
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
  EXPECT_THAT(EnsurePrivateFolder(path, geteuid()), IsOk());
}

TEST(ServerDefaultAddressTest, FolderThatOthersCanUseIsRefused) {
  const ScopedFolder folder;
  const std::string path = folder / "shared";
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(chmod(path.c_str(), 0770), 0);
  EXPECT_EQ(EnsurePrivateFolder(path, geteuid()).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ServerDefaultAddressTest, FolderOfAnotherUserIsRefused) {
  const ScopedFolder folder;
  const std::string path = folder / "other";
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  EXPECT_EQ(EnsurePrivateFolder(path, geteuid() + 1).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ServerDefaultAddressTest, LinkAndFileAreRefused) {
  const ScopedFolder folder;
  ASSERT_EQ(mkdir((folder / "real").c_str(), 0700), 0);
  std::filesystem::create_symlink(folder / "real", folder / "link");
  std::ofstream(folder / "file") << "x";
  EXPECT_FALSE(EnsurePrivateFolder(folder / "link", geteuid()).ok());
  EXPECT_FALSE(EnsurePrivateFolder(folder / "file", geteuid()).ok());
}

TEST(ServerDefaultAddressTest, FolderThatCannotBeMade) {
  const ScopedFolder folder;
  EXPECT_EQ(EnsurePrivateFolder(folder / "no/such", geteuid()).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace simvisor::server
