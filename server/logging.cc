#include "server/logging.h"

#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

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

}  // namespace

void InitLogging(spdlog::level::level_enum level) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("simvisord"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_level(level);
  gpr_set_log_function(&LogGrpc);
}

}  // namespace simvisor::server
