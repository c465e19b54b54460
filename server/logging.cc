#include "server/logging.h"

#include <grpc/support/log.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "base/printable.h"
#include "base/quote.h"

namespace simvisor::server {
namespace {

// gRPC calls things errors that the daemon handles and reports in its own
// words, so its messages are for those who look for a fault.
void LogGrpc(gpr_log_func_args* args) {
  const auto level = args->severity == GPR_LOG_SEVERITY_DEBUG
                         ? spdlog::level::trace
                         : spdlog::level::debug;
  spdlog::log(level, "grpc: {}", args->message);
}

// The text of a log line.  Parts of it may be a client's or another daemon's.
class PrintableText : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string text =
        Printable({message.payload.data(), message.payload.size()});
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PrintableText>();
  }
};

}  // namespace

void InitLogging(spdlog::level::level_enum level) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("simvisord"));
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PrintableText>('*').set_pattern(
      "%Y-%m-%dT%H:%M:%S.%e %^%l%$ %*");
  spdlog::set_formatter(std::move(formatter));
  spdlog::set_level(level);
  gpr_set_log_function(&LogGrpc);
}

}  // namespace simvisor::server
