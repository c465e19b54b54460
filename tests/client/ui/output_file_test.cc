#include "client/ui/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = PartFile::Kind;

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Runs with both kinds of unfinished files, since the file system decides which
// kind is used.
class OutputFileTest : public testing::TestWithParam<Kind> {
 protected:
  absl::StatusOr<OutputFile> Create(const std::string& path) {
    return OutputFile::Create(path, GetParam());
  }

  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  ScopedFolder folder_;
  const std::string path_ = folder_ / "image";
};

INSTANTIATE_TEST_SUITE_P(Kinds, OutputFileTest,
                         testing::Values(Kind::kNameless, Kind::kNamed));

TEST_P(OutputFileTest, FileAppearsWhenItIsCommitted) {
  auto file = Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Append("new ").ok());
  ASSERT_TRUE(file->Append("image").ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Contents(path_), "new image");
  EXPECT_THAT(Files(), ElementsAre("image"));
  struct stat about;
  ASSERT_EQ(stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

TEST_P(OutputFileTest, SignalEndsAWriteToAPipeThatIsNotRead) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const int reader = open(path_.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  EXPECT_EXIT(
      {
        std::signal(SIGALRM, [](int) { std::raise(SIGTERM); });
        std::signal(SIGTERM, SIG_DFL);
        auto file = Create(path_);
        const Interruption interruption;
        alarm(1);
        // Far more than a pipe holds.
        const absl::Status status =
            file->Append(std::string(1 << 24, 'x'), interruption);
        std::fputs(absl::IsCancelled(status) ? "cancelled" : "written", stderr);
      },
      testing::KilledBySignal(SIGTERM), "cancelled");
  close(reader);
}

TEST_P(OutputFileTest, OldFileStaysUntilTheCommit) {
  std::ofstream(path_) << "old";
  auto file = Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Append("new").ok());
  EXPECT_EQ(Contents(path_), "old");
  ASSERT_TRUE(file->Commit().ok());
  EXPECT_EQ(Contents(path_), "new");
  EXPECT_THAT(Files(), ElementsAre("image"));
}

TEST_P(OutputFileTest, FileThatIsNotCommittedLeavesNothing) {
  std::ofstream(path_) << "old";
  {
    auto file = Create(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->Append("new").ok());
  }
  EXPECT_EQ(Contents(path_), "old");
  EXPECT_THAT(Files(), ElementsAre("image"));
}

TEST_P(OutputFileTest, FileThatWasCreatedMeanwhileStays) {
  auto file = Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Append("new").ok());
  std::ofstream(path_) << "another's";
  const absl::Status status = file->Commit();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  EXPECT_EQ(Contents(path_), "another's");
  EXPECT_THAT(Files(), ElementsAre("image"));
}

TEST_P(OutputFileTest, FileThatWasReplacedOrWrittenMeanwhileStays) {
  for (const bool replaced : {true, false}) {
    std::filesystem::remove(path_);
    std::ofstream(path_) << "old";
    auto file = Create(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    if (replaced) std::filesystem::rename(path_, folder_ / "aside");
    std::ofstream(path_) << "another's";
    const absl::Status status = file->Commit();
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
    EXPECT_EQ(Contents(path_), "another's");
    EXPECT_THAT(Files(), ElementsAre("aside", "image"));
  }
}

TEST_P(OutputFileTest, LinkThatWasCreatedMeanwhileIsNotFollowed) {
  std::ofstream(folder_ / "victim") << "mine";
  auto file = Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  std::filesystem::create_symlink("victim", path_);
  EXPECT_FALSE(file->Commit().ok());
  EXPECT_EQ(Contents(folder_ / "victim"), "mine");
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  EXPECT_THAT(Files(), ElementsAre("image", "victim"));
}

TEST_P(OutputFileTest, SecondOfTwoCommitsFails) {
  auto file = Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE(file->Append("first").ok());
  {
    // Another process, because a process can have only one guard.
    const pid_t child = fork();
    if (child == 0) {
      auto other = Create(path_);
      std::_Exit(other.ok() && other->Append("second").ok() &&
                         other->Commit().ok()
                     ? 0
                     : 1);
    }
    int outcome = 0;
    ASSERT_EQ(waitpid(child, &outcome, 0), child);
    ASSERT_EQ(outcome, 0);
  }
  EXPECT_EQ(file->Commit().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Contents(path_), "second");
  EXPECT_THAT(Files(), ElementsAre("image"));
}

TEST_P(OutputFileTest, SignalLeavesNothing) {
  for (const int number : {SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM}) {
    EXPECT_EXIT(
        {
          auto file = Create(path_);
          if (!file.ok() || !file->Append("new").ok()) std::_Exit(1);
          std::raise(number);
          std::_Exit(2);
        },
        testing::KilledBySignal(number), "");
    EXPECT_THAT(Files(), IsEmpty()) << number;
  }
}

TEST_P(OutputFileTest, SignalThatIsIgnoredStaysIgnored) {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  auto file = Create(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  std::raise(SIGHUP);
  EXPECT_TRUE(file->Commit().ok());
  std::signal(SIGHUP, before);
}

TEST_P(OutputFileTest, LinkStaysAndItsTargetIsReplaced) {
  std::filesystem::create_directory(folder_ / "there");
  std::filesystem::create_symlink("there/target", path_);
  for (const char* text : {"one", "two"}) {
    auto file = Create(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE(file->Append(text).ok());
    ASSERT_TRUE(file->Commit().ok());
    EXPECT_TRUE(std::filesystem::is_symlink(path_));
    EXPECT_EQ(Contents(folder_ / "there/target"), text);
  }
}

TEST_P(OutputFileTest, MissingFolderIsNamed) {
  const auto file = Create(folder_ / "no/image");
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(std::string(file.status().message()),
              HasSubstr("no/image: No such file or directory"));
}

TEST_P(OutputFileTest, FolderIsRefused) {
  for (const std::string& path :
       {folder_.path(), path_ + "/", std::string("/"), std::string(".")}) {
    const auto file = Create(path);
    ASSERT_FALSE(file.ok()) << path;
    EXPECT_THAT(std::string(file.status().message()), HasSubstr("directory"));
  }
}

TEST_P(OutputFileTest, DeviceStaysADevice) {
  auto file = Create("/dev/null");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(file->Append("new").ok());
  ASSERT_TRUE(file->Commit().ok());
  struct stat about;
  ASSERT_EQ(stat("/dev/null", &about), 0);
  EXPECT_TRUE(S_ISCHR(about.st_mode));
}

TEST_P(OutputFileTest, FullDiskIsReportedAtOnce) {
  auto file = Create("/dev/full");
  ASSERT_TRUE(file.ok());
  const absl::Status status = file->Append("new");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/dev/full"));
}

}  // namespace
}  // namespace simvisor::client
