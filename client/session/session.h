// What a command uses: its streams, the global options, and the daemon.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_SESSION_SESSION_H_
#define SIMVISOR_CLIENT_SESSION_SESSION_H_

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/api/client.h"
#include "client/session/field_names.h"
#include "client/ui/json.h"
#include "client/ui/printable_output.h"
#include "google/protobuf/message.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::client {

// The size of a screen, in characters.
struct ScreenSize {
  int columns = 80;
  int rows = 24;
};

// Where a command writes.
struct Streams {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool out_takes_colors = false;
  ScreenSize screen = {};
};

// Options that every command has.
struct GlobalOptions {
  std::string address;  // empty for DefaultAddress()
  std::string output = "text";
  double timeout_seconds = 0;  // 0 for none
};

// A domain and the client that reaches it.
struct Target {
  const Client& client;
  v1::DomainRef ref;

  // A request that names the domain.
  template <typename Request>
  Request MakeRequest() const {
    Request request;
    *request.mutable_domain() = ref;
    return request;
  }
};

// `status` with the words in which xl reports it, which PrintError() puts in
// front of the message, except in JSON.
// REQUIRES: `status` is not OK.
absl::Status InXlsWords(absl::string_view words, const absl::Status& status);
// The same for the error of a call on `domain` and the words of a verb.  xl
// looks a name up first, so it says the same for every verb if no domain has
// that name.  An error to which the daemon gave no reason stays as it is.
absl::Status InVerbsWords(absl::string_view words, const v1::DomainRef& domain,
                          const absl::Status& error);

class Session {
 public:
  explicit Session(const Streams& streams);

  // The parser fills these in before a command runs.
  GlobalOptions& options() { return options_; }

  // For text; control characters are escaped, see client/ui/printable_output.h.
  std::ostream& out() { return out_; }
  std::ostream& err() { return err_; }
  // The errno that out() failed with first; 0 if it is not known.
  int out_error() const { return out_buf_.error(); }
  // Standard output without escaping, for coloured text; what it quotes must be
  // Printable() already.
  std::ostream& colored_out() { return streams_.out; }
  bool json() const { return options_.output == "json"; }
  // Whether standard output is a terminal that may be sent colours.
  bool colors() const { return streams_.out_takes_colors; }
  // The size of that terminal; 80 by 24 if it is not known.
  ScreenSize screen() const { return streams_.screen; }

  // The daemon's address, as given or by default.
  std::string address() const;

  // Leaves strings of responses as they are, for a command that always prints
  // JSON.
  // REQUIRES: before Connect().
  void KeepStrings() { keeps_strings_ = true; }

  // The client; the first call makes it.  It makes strings of responses
  // printable, except for JSON output, which escapes them itself.  A
  // UsageError() if the address is malformed.
  absl::StatusOr<const Client*> Connect();

  // The domain that `text` names, by ParseDomain(), and the client.
  absl::StatusOr<Target> Open(absl::string_view text);

  // Prints a response: as JSON with -o json, by `text` otherwise.
  template <typename Response, typename Text>
  absl::Status Show(const absl::StatusOr<Response>& response, Text text) {
    if (!response.ok()) return response.status();
    if (json()) return PrintJson(*response);
    text(*response);
    return absl::OkStatus();
  }

  // As above, for commands that are silent when they succeed.
  template <typename Response>
  absl::Status Show(const absl::StatusOr<Response>& response) {
    return Show(response, [](const Response&) {});
  }

  // JSON over several lines, or on one.  Errors: as ToJson().
  absl::Status PrintJson(const google::protobuf::Message& message);
  absl::Status PrintJsonLine(const google::protobuf::Message& message);
  void PrintJson(const Json& json);

  // From now on, errors that are printed name arguments of the command instead
  // of fields of its request; see NameArgument().
  // REQUIRES: `names` outlives the session.
  void NameFields(absl::Span<const FieldName> names) { field_names_ = names; }

  // The stream for a ProgressBar: null unless standard error is a terminal that
  // standard output does not write to at the same time, and with -o json.
  std::ostream* BarStream(bool writes_output) const;

  // Prints `status` to err(): after xl's words if xl has its own, with -o json
  // as one line of JSON, see ToJson().  A long list of errors is cut
  // (client/api/error_lines.h).
  void PrintError(const absl::Status& status);
  // The same for an error in the command line, after `program`, such as
  // "simvisor: ", which JSON leaves out.
  void PrintUsageError(absl::string_view program, const absl::Status& error);
  // Flushes out() and prints `status` unless it is OK, as the program does
  // after a command, for a command that a signal ends.
  void PrintEnd(const absl::Status& status);
  // Prints "KIND: TEXT" to err(), or {"KIND": "TEXT"} with -o json, for a note
  // or a warning.
  void PrintRemark(absl::string_view kind, absl::string_view text);
  // Prints what is only for people, such as the lines that xl prints before an
  // error; with -o json, nothing.
  void PrintAside(absl::string_view text);

 private:
  // xl's words for `status`; empty if it has none.
  std::string XlsWords(const absl::Status& status) const;

  const Streams streams_;
  PrintableBuf out_buf_;
  PrintableBuf err_buf_;
  std::ostream out_;
  std::ostream err_;
  GlobalOptions options_;
  bool keeps_strings_ = false;
  std::unique_ptr<Client> client_;
  std::optional<std::string> domain_;  // the last argument of Open()
  absl::Span<const FieldName> field_names_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SESSION_SESSION_H_
