// The verb batch with canned answers, and the lines that it accepts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/app.h"
#include "client/ui/exit_code.h"
#include "client/ui/line_reader.h"
#include "client/verbs/op_line.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "simvisor/v1/memory_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Answers the operations of each message in reverse order; operations on the
// domain "bad" fail.
class FakeMemory : public v1::MemoryService::Service {
 public:
  grpc::Status StreamMemoryOps(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::StreamMemoryOpsResponse,
                               v1::StreamMemoryOpsRequest>* stream) override {
    v1::StreamMemoryOpsRequest request;
    while (stream->Read(&request)) {
      v1::StreamMemoryOpsResponse response;
      for (int i = request.ops_size() - 1; i >= 0; --i) {
        seen.push_back(request.ops(i));
        *response.add_results() = Answer(request.ops(i));
      }
      messages++;
      stream->Write(response);
      if (ends) return grpc::Status::OK;
      if (breaks) return {grpc::StatusCode::UNAVAILABLE, "gone"};
    }
    return grpc::Status::OK;
  }

  static v1::MemoryOpResult Answer(const v1::MemoryOp& op) {
    v1::MemoryOpResult result;
    result.set_id(op.id());
    if (op.domain().name() == "bad") {
      result.mutable_error()->set_code("NOT_FOUND");
      result.mutable_error()->set_reason("DOMAIN_NOT_FOUND");
      result.mutable_error()->set_message("no such domain");
    } else {
      v1::DomainMemory& memory = *result.mutable_set_target()->mutable_memory();
      memory.set_target_pages(op.set_target().target_pages());
      memory.set_current_pages(512);
    }
    return result;
  }

  std::vector<v1::MemoryOp> seen;
  int messages = 0;
  bool breaks = false;
  bool ends = false;
};

class BatchCommandTest : public ::testing::Test {
 protected:
  BatchCommandTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&memory_);
    server_ = builder.BuildAndStart();
  }

  int Run(const std::string& lines, std::vector<std::string> options = {}) {
    const std::string file = folder_ / "ops";
    std::ofstream(file) << lines;
    std::vector<std::string> arguments = {"-H", address_, "batch", file};
    arguments.insert(arguments.end(), options.begin(), options.end());
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunApp(arguments, {.out = out, .err = err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeMemory memory_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string err_;
};

TEST_F(BatchCommandTest, StopEndsAtTheFirstFailure) {
  EXPECT_EQ(Run("mem-set web 1m\nmem-set bad 1m\nmem-set web 2m\n", {"--stop"}),
            kExitFailed);
  EXPECT_EQ(memory_.seen.size(), 2u);
  EXPECT_THAT(err_, HasSubstr("1 of 2 operations failed; the rest are not"));
  EXPECT_EQ(Run("mem-set web 1m\nnonsense\nmem-set web 2m\n", {"--stop"}),
            kExitFailed);
  EXPECT_EQ(memory_.seen.size(), 3u);
}

TEST_F(BatchCommandTest, ManyLinesAreSentInFewMessages) {
  std::string lines;
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&lines, "mem-set web 1m\n");
  EXPECT_EQ(Run(lines), kExitDone);
  EXPECT_EQ(memory_.seen.size(), 20000u);
  EXPECT_LT(memory_.messages, 200);
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 20000);
}

TEST_F(BatchCommandTest, EmptyFileDoesNothing) {
  EXPECT_EQ(Run(""), kExitDone);
  EXPECT_EQ(out_ + err_, "");
  EXPECT_EQ(memory_.messages, 0);
}

TEST_F(BatchCommandTest, LostDaemonIsReported) {
  memory_.breaks = true;
  std::string lines;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&lines, "mem-set web 1m\n");
  EXPECT_EQ(Run(lines), kExitUnreachable);
  EXPECT_THAT(err_, HasSubstr("lines after line 512 have no answer"));
}

TEST_F(BatchCommandTest, CallThatEndsEarlyFails) {
  memory_.ends = true;
  std::string lines;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&lines, "mem-set web 1m\n");
  EXPECT_EQ(Run(lines), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("lines after line 512 have no answer"));
  EXPECT_THAT(err_,
              HasSubstr("ended the call without an answer to every line"));
}

TEST_F(BatchCommandTest, StopEndsWhileTheInputStaysOpen) {
  const std::string path = folder_ / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::fstream keeper(path, std::ios::in | std::ios::out);
  keeper << "mem-set bad 1m\n" << std::flush;
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(RunApp({"-H", address_, "batch", path, "--stop"},
                   {.out = out, .err = err}),
            kExitFailed);
  EXPECT_THAT(err.str(), HasSubstr("1 of 1 operation failed"));
}

TEST_F(BatchCommandTest, ManyBytesAreSent) {
  std::string lines;
  const std::string text(1000000, 'x');
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&lines, "guest write web 1 ", text, "\n");
  }
  EXPECT_EQ(Run(lines), kExitDone);
  EXPECT_EQ(memory_.seen.size(), 100u);
  lines = "guest write web 1 " + std::string((1 << 20) + 1, 'x');
  EXPECT_EQ(Run(lines), kExitFailed);
  EXPECT_THAT(err_, HasSubstr("1048577 bytes are above the limit of 1048576"));
}

TEST(OpParserTest, EveryVerbMakesItsOperation) {
  OpParser parser;
  const auto parse = [&parser](const std::string& line) {
    const auto op = parser.Parse(line);
    return op.ok() ? op->ShortDebugString()
                   : std::string(op.status().message());
  };
  EXPECT_EQ(parse("mem-set web 1m"),
            "domain { name: \"web\" } set_target { target_pages: 256 }");
  EXPECT_EQ(
      parse("balloon down 3 10 --partial"),
      "domain { domid: 3 } balloon_down { pages: 10 allow_partial: true }");
  // The arguments of the line before are reset.
  EXPECT_EQ(parse("balloon down 3 10"),
            "domain { domid: 3 } balloon_down { pages: 10 }");
  EXPECT_EQ(parse("bal up web 1m"),
            "domain { name: \"web\" } balloon_up { pages: 256 }");
  EXPECT_EQ(parse("p2m lookup web 1 0x10"),
            "domain { name: \"web\" } translate { pfns: 1 pfns: 16 }");
  EXPECT_EQ(parse("p2m lookup web 2"),
            "domain { name: \"web\" } translate { pfns: 2 }");
  EXPECT_EQ(parse("p2m set web 5 2 ram 0x20 --keep"),
            "domain { name: \"web\" } set { first_pfn: 5 count: 2 p2m_class: "
            "P2M_CLASS_RAM first_mfn: 32 ram_policy: RAM_POLICY_KEEP }");
  EXPECT_EQ(parse("p2m set web 5 2 ram"),
            "p2m set: web: ram needs the MFN of the first pfn");
  EXPECT_EQ(parse("identity mark web 5 9 --release"),
            "domain { name: \"web\" } identity { start_pfn: 5 end_pfn: 9 "
            "release_ram: true }");
  EXPECT_EQ(parse("guest write web 7 'two words' --offset 3"),
            "domain { name: \"web\" } write { pfn: 7 offset_bytes: 3 data: "
            "\"two words\" }");
  EXPECT_EQ(parse("guest write web 7 --hex '00 ff'"),
            "domain { name: \"web\" } write { pfn: 7 data: \"\\000\\377\" }");
  EXPECT_EQ(parse("guest write web 7 --file -"),
            "guest write: web: a line cannot read standard input");
  EXPECT_THAT(parse("balloon"), HasSubstr("balloon: "));
  EXPECT_THAT(parse("mem-set --help"), HasSubstr("mem-set: "));
}

TEST(OpParserTest, EveryResultHasItsLine) {
  v1::MemoryOp op;
  op.mutable_domain()->set_name("web");
  v1::MemoryOpResult result;
  op.mutable_balloon_down()->set_pages(9);
  result.mutable_balloon_down()->set_moved_pages(8);
  EXPECT_EQ(DescribeResult(op, result),
            "web: 8 of 9 pages ballooned down; 0 MiB now, 0 pages in the "
            "balloon");
  op.mutable_translate()->add_pfns(16);
  op.mutable_translate()->add_pfns(17);
  for (const uint64_t frame : {16, 5}) {
    result.mutable_translate()->add_classes(
        frame == 5 ? v1::P2M_CLASS_RAM : v1::P2M_CLASS_IDENTITY);
    result.mutable_translate()->add_frames(frame);
  }
  EXPECT_THAT(DescribeResult(op, result), HasSubstr("web: 0x10 "));
  EXPECT_THAT(DescribeResult(op, result), HasSubstr(", 0x11 "));
  op.mutable_translate()->add_pfns(18);
  EXPECT_THAT(DescribeResult(op, result),
              HasSubstr("2 classes and 2 frames answer for 3 pfns"));
  op.mutable_set()->set_count(3);
  result.mutable_set()->set_released_pages(2);
  EXPECT_EQ(DescribeResult(op, result),
            "web: 3 pfns set, 2 frames released, 0 pages taken for the p2m "
            "list");
  op.mutable_identity();
  result.mutable_identity()->set_marked_pages(4);
  EXPECT_EQ(DescribeResult(op, result),
            "web: 4 pfns are identity, 0 frames released, 0 pages taken for "
            "the p2m list");
  op.mutable_write()->set_pfn(255);
  op.mutable_write()->set_data("abc");
  result.mutable_write();
  EXPECT_EQ(DescribeResult(op, result), "web: 3 bytes written at pfn 0xff");
}

TEST(LineReaderTest, GivesLinesAsTheyAre) {
  const ScopedFolder folder;
  const std::string path = folder / "lines";
  std::ofstream(path) << "one\n\nthree\r\nlast";
  auto reader = LineReader::Open(path);
  ASSERT_TRUE(reader.ok());
  std::vector<std::string> lines;
  ASSERT_TRUE((*reader)->Read(2, lines).ok());
  EXPECT_THAT(lines, ElementsAre("one", ""));
  ASSERT_TRUE((*reader)->Read(9, lines).ok());
  EXPECT_THAT(lines, ElementsAre("three\r"));
  ASSERT_TRUE((*reader)->Read(9, lines).ok());
  EXPECT_THAT(lines, ElementsAre("last"));
  ASSERT_TRUE((*reader)->Read(9, lines).ok());
  EXPECT_THAT(lines, IsEmpty());
}

TEST(LineReaderTest, EndlessLineIsRefused) {
  const ScopedFolder folder;
  const std::string path = folder / "lines";
  std::ofstream(path) << std::string(LineReader::kMaxLineBytes + 100000, 'x');
  auto reader = LineReader::Open(path);
  ASSERT_TRUE(reader.ok());
  std::vector<std::string> lines;
  EXPECT_FALSE((*reader)->Read(1, lines).ok());
}

TEST(LineReaderTest, StopEndsAWait) {
  const ScopedFolder folder;
  const std::string path = folder / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  // Opened for reading and writing, so opening does not wait and reading does
  // not end.
  std::fstream keeper(path, std::ios::in | std::ios::out);
  auto reader = LineReader::Open(path);
  ASSERT_TRUE(reader.ok());
  std::thread stopper([&] { (*reader)->Stop(); });
  std::vector<std::string> lines;
  EXPECT_TRUE((*reader)->Read(1, lines).ok());
  EXPECT_THAT(lines, IsEmpty());
  stopper.join();
}

}  // namespace
}  // namespace simvisor::client
