#include "client/session/session.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/address.h"
#include "client/api/error.h"
#include "client/api/error_lines.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"

namespace simvisor::client {
namespace {

constexpr absl::string_view kXlsWordsUrl = "simvisor.client/xls-words";

}  // namespace

absl::Status InXlsWords(absl::string_view words, const absl::Status& status) {
  absl::Status result = status;
  result.SetPayload(kXlsWordsUrl, absl::Cord(words));
  return result;
}

absl::Status InVerbsWords(absl::string_view words, const v1::DomainRef& domain,
                          const absl::Status& error) {
  const std::string reason = ReasonOf(error);
  const bool is_looked_up = reason == "DOMAIN_NOT_FOUND" && !domain.has_domid();
  return reason.empty() || is_looked_up ? error : InXlsWords(words, error);
}

Session::Session(const Streams& streams)
    : streams_(streams),
      out_buf_(streams.out),
      err_buf_(streams.err),
      out_(&out_buf_),
      err_(&err_buf_) {
  err_ << std::unitbuf;
}

std::string Session::address() const {
  return options_.address.empty() ? DefaultAddress() : options_.address;
}

absl::StatusOr<const Client*> Session::Connect() {
  if (client_ != nullptr) return client_.get();
  Client::Options client_options;
  if (options_.timeout_seconds > 0) {
    client_options.timeout = absl::Seconds(options_.timeout_seconds);
  }
  if (!json() && !keeps_strings_) client_options.on_response = &MakePrintable;
  auto client = Client::Create(address(), client_options);
  if (!client.ok()) return AsUsageError(client.status());
  client_ = *std::move(client);
  return client_.get();
}

absl::StatusOr<Target> Session::Open(absl::string_view text) {
  SIMVISOR_ASSIGN_OR_RETURN(v1::DomainRef ref, ParseDomain(text));
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, Connect());
  domain_ = std::string(text);
  return Target{*client, std::move(ref)};
}

absl::Status Session::PrintJson(const google::protobuf::Message& message) {
  SIMVISOR_ASSIGN_OR_RETURN(const Json json, ToJson(message));
  PrintJson(json);
  return absl::OkStatus();
}

absl::Status Session::PrintJsonLine(const google::protobuf::Message& message) {
  SIMVISOR_ASSIGN_OR_RETURN(const Json json, ToJson(message));
  out() << OneLine(json) << "\n";
  return absl::OkStatus();
}

void Session::PrintJson(const Json& json) { out() << Lines(json) << "\n"; }

std::ostream* Session::BarStream(bool writes_output) const {
  const bool mixes = writes_output && streams_.out_is_terminal;
  return streams_.err_is_terminal && !mixes && !json() ? &streams_.err
                                                       : nullptr;
}

std::string Session::XlsWords(const absl::Status& status) const {
  if (const auto words = status.GetPayload(kXlsWordsUrl)) {
    return std::string(*words);
  }
  if (!domain_ || ReasonOf(status) != "DOMAIN_NOT_FOUND") return "";
  const auto ref = ParseDomain(*domain_);
  if (!ref.ok() || ref->has_domid()) return "";
  return absl::StrCat(*domain_, " is an invalid domain identifier (rc=-6)");
}

void Session::PrintError(const absl::Status& status) {
  const absl::Status whole = NameArgument(field_names_, status);
  const absl::Status named = WithMessage(
      whole,
      CutErrors(whole.message(), json() ? kMaxJsonErrorLines : kMaxErrorLines));
  if (json()) {
    err() << OneLine(ToJson(named)) << "\n";
    return;
  }
  const std::string words = XlsWords(named);
  err() << words << (words.empty() ? "" : ": ") << Describe(named) << "\n";
}

void Session::PrintUsageError(absl::string_view program,
                              const absl::Status& error) {
  if (!json()) err() << program;
  PrintError(error);
}

void Session::PrintEnd(const absl::Status& status) {
  out().flush();
  if (!status.ok()) PrintError(status);
}

void Session::PrintRemark(absl::string_view kind, absl::string_view text) {
  if (json()) {
    err() << OneLine({{std::string(kind), std::string(text)}}) << "\n";
  } else {
    err() << kind << ": " << text << "\n";
  }
}

void Session::PrintAside(absl::string_view text) {
  if (!json()) err() << text << "\n";
}

}  // namespace simvisor::client
