// batch: many operations on memory over one stream.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/memory_ops_stream.h"
#include "client/api/own_reason.h"
#include "client/ui/exit_code.h"
#include "client/ui/line_reader.h"
#include "client/verbs/commands.h"
#include "client/verbs/op_line.h"

namespace simvisor::client {
namespace {

struct BatchArgs {
  std::string file = "-";
  bool stop = false;
};

// The most operations in one message, and the bytes at which it is full.
constexpr size_t kOpsPerMessage = 512;
constexpr size_t kBytesPerMessage = size_t{1} << 20;
// The most lines read ahead of the last reported line.
constexpr size_t kMaxAhead = 4096;
// No further line is sent while the lines ahead have this many bytes.
constexpr size_t kMaxBytesAhead = size_t{64} << 20;

// The lines under way, which are reported in the order in which they were read.
// One thread reads and sends, another receives; both report.
class Batch {
 public:
  Batch(Session& session, LineReader& lines, MemoryOpsStream& stream, bool stop)
      : session_(session),
        lines_(lines),
        stream_(stream),
        stop_(stop),
        max_ahead_(stop ? 1 : kMaxAhead) {}

  // Does all lines.  Returns the stream's error, or an error with the number of
  // lines that failed.
  absl::Status Run() ABSL_LOCKS_EXCLUDED(mu_) {
    std::thread sender([this] { Send(); });
    v1::StreamMemoryOpsResponse response;
    while (stream_.Read(&response)) Receive(response);
    {
      absl::MutexLock lock(&mu_);
      over_ = true;
      early_ = !all_sent_;
    }
    lines_.Stop();
    sender.join();
    return Outcome(stream_.Finish());
  }

 private:
  struct Entry {
    v1::MemoryOp op;  // its id is the number of the line
    v1::MemoryOpResult result;
    size_t bytes = 0;
    bool done = false;
  };

  void Send() ABSL_LOCKS_EXCLUDED(mu_) {
    std::vector<std::string> lines;
    bool more = true;
    while (more) {
      const absl::Status status = lines_.Read(max_ahead_, lines);
      if (!status.ok()) {
        absl::MutexLock lock(&mu_);
        unread_ = status;
      }
      more = status.ok() && !lines.empty();
      for (size_t i = 0; more && i < lines.size(); ++i) more = Take(lines[i]);
      more = Flush() && more;
    }
    {
      absl::MutexLock lock(&mu_);
      all_sent_ = true;
    }
    stream_.WritesDone();
  }

  // False if the caller must not read more lines.
  bool Take(const std::string& line) ABSL_LOCKS_EXCLUDED(mu_) {
    ++number_;
    const absl::string_view text = absl::StripAsciiWhitespace(line);
    if (text.empty() || text.front() == '#') return true;
    if (!AwaitRoom()) return false;
    absl::StatusOr<v1::MemoryOp> op = parser_.Parse(std::string(text));
    absl::MutexLock lock(&mu_);
    entries_.emplace_back();
    Entry& entry = entries_.back();
    if (op.ok()) {
      op->set_id(number_);
      entry.bytes = op->ByteSizeLong();
      request_bytes_ += entry.bytes;
      bytes_ahead_ += entry.bytes;
      entry.op = *op;
      *request_.add_ops() = *std::move(op);
    } else {
      entry.op.set_id(number_);
      entry.result.set_id(number_);
      entry.result.mutable_error()->set_code(
          absl::StatusCodeToString(op.status().code()));
      entry.result.mutable_error()->set_reason(AnyReasonOf(op.status()));
      entry.result.mutable_error()->set_message(
          Printable(op.status().message()));
      entry.done = true;
      Report();
    }
    return true;
  }

  // Waits until another line may be sent; before waiting, sends the lines
  // gathered so far.
  bool AwaitRoom() ABSL_LOCKS_EXCLUDED(mu_) {
    if (request_.ops_size() >= static_cast<int>(kOpsPerMessage) ||
        request_bytes_ >= kBytesPerMessage) {
      if (!Flush()) return false;
    }
    {
      absl::MutexLock lock(&mu_);
      if (HasRoom()) return MayGoOn();
    }
    if (!Flush()) return false;
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &Batch::HasRoom));
    return MayGoOn();
  }

  bool HasRoom() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return over_ ||
           (entries_.size() < max_ahead_ && bytes_ahead_ < kMaxBytesAhead);
  }
  bool MayGoOn() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !over_ && !(stop_ && failed_ > 0);
  }

  // Sends the lines gathered so far.  False if the call is over.
  bool Flush() {
    if (request_.ops().empty()) return true;
    const bool sent = stream_.Write(request_);
    request_.Clear();
    request_bytes_ = 0;
    return sent;
  }

  void Receive(const v1::StreamMemoryOpsResponse& response)
      ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    for (const v1::MemoryOpResult& result : response.results()) {
      const auto entry = std::lower_bound(
          entries_.begin(), entries_.end(), result.id(),
          [](const Entry& e, uint64_t id) { return e.op.id() < id; });
      if (entry == entries_.end() || entry->op.id() != result.id()) continue;
      entry->result = result;
      entry->done = true;
    }
    Report();
  }

  // Reports lines that are done, up to the first that is not.
  void Report() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    for (; !entries_.empty() && entries_.front().done; entries_.pop_front()) {
      const Entry& entry = entries_.front();
      const bool failed = entry.result.has_error();
      ++(failed ? failed_ : succeeded_);
      bytes_ahead_ -= entry.bytes;
      last_reported_ = entry.op.id();
      if (session_.json()) session_.PrintJsonLine(entry.result).IgnoreError();
      if (failed) {
        const v1::MemoryOpError& error = entry.result.error();
        // A line that has not become an operation was not sent.
        const bool own = entry.op.op_case() == v1::MemoryOp::OP_NOT_SET;
        session_.PrintAside(
            absl::StrCat("line ", entry.op.id(), ": ",
                         DescribeError(error.message(), own ? "" : error.code(),
                                       own ? "" : error.reason())));
      } else if (!session_.json()) {
        session_.out() << DescribeResult(entry.op, entry.result) << "\n";
      }
    }
    session_.out() << std::flush;
    // Otherwise the sender would wait for a line that it must not send.
    if (stop_ && failed_ > 0) lines_.Stop();
  }

  absl::Status Outcome(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    const bool cut_off = early_ || !entries_.empty();
    if (!status.ok() || cut_off) {
      session_.PrintRemark(
          "note", absl::StrCat("lines after line ", last_reported_,
                               " have no answer: they may or may not have "
                               "been done"));
    }
    if (!status.ok()) return status;
    if (cut_off) {
      return WithReason(
          absl::DataLossError(
              "the daemon ended the call without an answer to every line"),
          OwnReason::kResponseInvalid);
    }
    if (!unread_.ok()) return unread_;
    if (failed_ == 0) return absl::OkStatus();
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          failed_, " of ", failed_ + succeeded_,
                          failed_ + succeeded_ == 1 ? " operation failed"
                                                    : " operations failed",
                          stop_ ? "; the rest are not done" : "")),
                      OwnReason::kPartlyFailed);
  }

  Session& session_;
  LineReader& lines_;
  MemoryOpsStream& stream_;
  const bool stop_;
  const size_t max_ahead_;

  // Used by the sender only.
  OpParser parser_;
  uint64_t number_ = 0;
  v1::StreamMemoryOpsRequest request_;
  size_t request_bytes_ = 0;

  absl::Mutex mu_;
  std::deque<Entry> entries_ ABSL_GUARDED_BY(mu_);  // by ascending id
  bool all_sent_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;       // the call
  bool early_ ABSL_GUARDED_BY(mu_) = false;      // over before all_sent_
  size_t bytes_ahead_ ABSL_GUARDED_BY(mu_) = 0;  // of entries_
  uint64_t failed_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t succeeded_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t last_reported_ ABSL_GUARDED_BY(mu_) = 0;  // number of the line
  absl::Status unread_ ABSL_GUARDED_BY(mu_);
};

absl::Status RunBatch(Session& session, const BatchArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const auto lines, LineReader::Open(args.file));
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  const auto stream = client->StreamMemoryOps();
  return Batch(session, *lines, *stream, args.stop).Run();
}

}  // namespace

void AddBatchCommand(Commands& commands) {
  auto args = std::make_shared<BatchArgs>();
  Verb verb = commands.Add(
      "batch", "Do many memory operations over one stream",
      [args](Session& session) { return RunBatch(session, *args); });
  verb.AddPositional("FILE", args->file,
                     "Operations, one a line; - is standard input")
      .ShowDefault();
  verb.AddFlag("--stop", args->stop,
               "Stop at the first line that fails; each line is then sent\n"
               "when the one before it is done, which is slow");
  verb.SetFooter(
      "A line is one of these commands, without 'simvisor': mem-set, balloon\n"
      "down, balloon up, p2m lookup, p2m set, identity mark, guest write.\n"
      "Blank lines, and lines that begin with #, are skipped.\n"
      "\n"
      "Lines of one domain are done in order, those of different domains at\n"
      "the same time.  Each prints a line, or with -o json a MemoryOpResult\n"
      "whose id is the line's number, in the order of the file.  A line that\n"
      "fails, or is not an operation, is reported on standard error with its\n"
      "number and does not stop the others; the exit code is then 1.");
}

}  // namespace simvisor::client
