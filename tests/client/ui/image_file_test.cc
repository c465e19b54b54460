#include "client/ui/image_file.h"

#include <fstream>
#include <string>

#include "base/error.h"
#include "client/api/error.h"
#include "client/xl/domain_config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kXl = "Xen saved domain, xl format\n" + std::string(40, '\0');
const std::string kLibxl = "LibxlFmt" + std::string(8, '\0');
const std::string kLibxc = std::string(8, '\xff') + "XENF";

TEST(ImageFileTest, ImagesOfEachLayerAreKnown) {
  for (const std::string& bytes : {kXl, kLibxl, kLibxc}) {
    EXPECT_TRUE(IsImage(bytes)) << bytes;
    EXPECT_TRUE(CheckImage("f", bytes).ok()) << bytes;
  }
  EXPECT_FALSE(IsImage("name = 'web'\n"));
  EXPECT_FALSE(IsImage(""));
}

TEST(ImageFileTest, TextIsNamedAsWhatItIs) {
  const absl::Status status =
      CheckImage("small.cfg", "name = \"sm\xc3\xa5ll\"\nmemory = 64\n");
  EXPECT_EQ(Describe(status),
            "small.cfg: not a save image: it is a text file, such as a "
            "configuration; create takes configurations, and restore images "
            "that save has written (INVALID_ARGUMENT IMAGE_MALFORMED)");
}

TEST(ImageFileTest, EmptyFileIsNamed) {
  EXPECT_EQ(Describe(CheckImage("-", "")),
            "standard input: the file is empty; save the "
            "domain again (INVALID_ARGUMENT IMAGE_TRUNCATED)");
}

TEST(ImageFileTest, DaemonJudgesOtherBytes) {
  EXPECT_TRUE(CheckImage("f", absl::string_view("\0\1abc", 5)).ok());
}

TEST(ImageFileTest, DaemonsErrorsNameTheFile) {
  const absl::Status malformed =
      MakeError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                "save image: byte 0: starts with 0x00");
  EXPECT_EQ(NameImage("web.img", malformed).message(),
            "web.img: byte 0: starts with 0x00");
  EXPECT_EQ(ReasonOf(NameImage("web.img", malformed)), "IMAGE_MALFORMED");
  const absl::Status other = absl::AbortedError("save image: a fault");
  EXPECT_EQ(NameImage("web.img", other), other);
  EXPECT_TRUE(NameImage("web.img", absl::OkStatus()).ok());
}

TEST(ImageFileTest, ImageOfAnySizeIsNoTextFile) {
  const ScopedFolder folder;
  const std::string path = folder / "web.img";
  for (const size_t more : {size_t{0}, kMaxConfigBytes}) {
    std::ofstream(path) << kXl << std::string(more, 'x');
    const auto text = ReadTextFile(path, kMaxConfigBytes);
    EXPECT_EQ(text.status().message(),
              path + ": it is a save image; restore takes it");
  }
  std::ofstream(path) << std::string(kMaxConfigBytes + 1, 'x');
  EXPECT_THAT(ReadTextFile(path, kMaxConfigBytes).status().message(),
              testing::AllOf(HasSubstr("more than"), Not(HasSubstr("image,"))));
  std::ofstream(path) << "memory = 64\n";
  EXPECT_EQ(*ReadTextFile(path, kMaxConfigBytes), "memory = 64\n");
}

}  // namespace
}  // namespace simvisor::client
