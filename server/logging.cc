#include "server/logging.h"

#include <grpc/support/log.h>
#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/printable.h"
#include "base/quote.h"

namespace simvisor::server {
namespace {

// gRPC logs as errors what the daemon handles and reports in its own words, so
// gRPC's messages are only for debugging.
void LogGrpc(gpr_log_func_args* args) {
  const auto level = args->severity == GPR_LOG_SEVERITY_DEBUG
                         ? spdlog::level::trace
                         : spdlog::level::debug;
  spdlog::log(level, "grpc: {}", args->message);
}

// The text of a log line.  Parts of it may come from a client or another
// daemon.
class PrintableText : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const absl::string_view raw(message.payload.data(), message.payload.size());
    // Most lines are plain; the look saves half of what a line costs.
    if (std::all_of(raw.begin(), raw.end(), absl::ascii_isprint)) {
      out.append(raw.data(), raw.data() + raw.size());
      return;
    }
    const std::string text = Printable(raw);
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PrintableText>();
  }
};

// Standard error, but never waits for its reader: calls log, and a reader
// that has stopped would stop them all.
class UnwaitingStderr : public spdlog::sinks::ansicolor_stderr_sink_mt {
 public:
  void log(const spdlog::details::log_msg& message) override {
    const absl::MutexLock lock(&mu_);
    if (!HasRoom()) {
      ++left_out_;
      return;
    }
    if (left_out_ > 0) {
      const std::string text =
          absl::StrCat("lines left out, since they were not read: ",
                       std::exchange(left_out_, 0));
      Base::log({message.logger_name, spdlog::level::warn,
                 spdlog::string_view_t(text.data(), text.size())});
      // The first line may have taken the room.
      if (!HasRoom()) {
        ++left_out_;
        return;
      }
    }
    Base::log(message);
  }

 private:
  using Base = spdlog::sinks::ansicolor_stderr_sink_mt;

  // Pipes, sockets and terminals; a file takes everything at once.
  static bool MayWait() {
    struct stat info;
    return fstat(STDERR_FILENO, &info) == 0 &&
           (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode) ||
            isatty(STDERR_FILENO) == 1);
  }

  // Whether a line can be written without waiting: a pipe that says so takes
  // 4096 bytes.  Also true if the write will fail.
  bool HasRoom() const {
    if (!may_wait_) return true;
    pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    return poll(&fd, 1, 0) != 0;
  }

  const bool may_wait_ = MayWait();
  absl::Mutex mu_;
  uint64_t left_out_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace

void InitLogging(spdlog::level::level_enum level) {
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "simvisord", std::make_shared<UnwaitingStderr>()));
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PrintableText>('*').set_pattern(
      "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %*");
  spdlog::set_formatter(std::move(formatter));
  spdlog::set_level(level);
  gpr_set_log_function(&LogGrpc);
}

}  // namespace simvisor::server
