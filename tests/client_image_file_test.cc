#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "client/cli/image_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scoped_folder.h"

namespace simvisor::client {
namespace {

using testing::HasSubstr;

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ClientImageFileTest : public testing::Test {
 protected:
  std::string PathOf(const std::string& name) const {
    return folder_.path() + "/" + name;
  }

  ScopedFolder folder_;
};

TEST_F(ClientImageFileTest, FileIsThereOnceItIsCommitted) {
  const std::string path = PathOf("image");
  std::ofstream(path) << "old";
  auto file = ImageFile::Create(path);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Append("new ").ok());
  ASSERT_TRUE(file->Append("image").ok());
  EXPECT_EQ(Contents(path), "old");
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Contents(path), "new image");
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
  struct stat about;
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST_F(ClientImageFileTest, NothingIsLeftOfOneThatIsNotCommitted) {
  const std::string path = PathOf("image");
  std::ofstream(path) << "old";
  {
    auto file = ImageFile::Create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Append("new").ok());
  }
  EXPECT_EQ(Contents(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
}

TEST_F(ClientImageFileTest, FolderThatIsNotThereIsNamed) {
  const auto file = ImageFile::Create(PathOf("no/image"));
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("no/image"));
}

TEST_F(ClientImageFileTest, DeviceStaysADevice) {
  auto file = ImageFile::Create("/dev/null");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Append("new").ok());
  ASSERT_TRUE(file->Commit().ok());
  struct stat about;
  ASSERT_EQ(stat("/dev/null", &about), 0);
  EXPECT_TRUE(S_ISCHR(about.st_mode));
}

TEST_F(ClientImageFileTest, FullDiskIsToldAtOnce) {
  auto file = ImageFile::Create("/dev/full");
  ASSERT_TRUE(file.ok());
  const absl::Status status = file->Append("new");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/full"));
}

}  // namespace
}  // namespace simvisor::client
