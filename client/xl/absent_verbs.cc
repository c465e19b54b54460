#include "client/xl/absent_verbs.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace simvisor::client {
namespace {

struct Absent {
  absl::string_view verb;  // or the beginning of several, with a final *
  absl::string_view why;
};

constexpr absl::string_view kNoCode =
    "guests here execute no code; guest read and guest write reach their pages";
constexpr absl::string_view kNoDevices =
    "Simvisor has only PCI devices, and a domain has those of pci= in its "
    "configuration; give them to create";
constexpr absl::string_view kNoScheduler =
    "Simvisor does not schedule; vcpu-pin sets affinities, and vcpu-list shows "
    "them";
constexpr absl::string_view kNoTime =
    "Simvisor does not record when guests started or how long they ran; list "
    "shows their memory and state";
constexpr absl::string_view kOnePool =
    "all CPUs are in one pool here; vcpu-pin restricts virtual CPUs to some";
constexpr absl::string_view kNoPolicy = "Simvisor does not simulate XSM";
constexpr absl::string_view kNoCaches = "Simvisor does not simulate caches";
constexpr absl::string_view kDaemonLog =
    "the hypervisor here is simvisord, which writes its log to standard error";

constexpr Absent kAbsent[] = {
    {"button-press", kNoCode},
    {"config-update",
     "only create and restore read a configuration; save the domain, and "
     "restore it with another"},
    {"console", kNoCode},
    {"dump-core", "save -c writes an image and lets the domain run on"},
    {"migrate-receive",
     "every simvisord receives domains; name its address "
     "to migrate"},
    {"reboot",
     "guests here execute no code that could; destroy the domain "
     "and create it again"},
    {"remus",
     "a copy that follows its guest is not simulated; migrate moves "
     "a running domain"},
    {"sharing",
     "no pages are shared between guests here; p2m foreign maps "
     "those of another domain"},
    {"shutdown",
     "guests here execute no code that could shut down; destroy "
     "ends a domain, save keeps it"},
    {"sysrq", kNoCode},
    {"top", kNoTime},
    {"trigger", kNoCode},
    {"uptime", kNoTime},
    {"vcpu-set",
     "a domain keeps the virtual CPUs that vcpus= in its "
     "configuration gives it"},
    {"vm-list", "list -v shows UUIDs"},
    {"vncviewer", kNoCode},
    {"debug-keys", kDaemonLog},
    {"set-parameters",
     "simvisord takes its parameters when it starts; see "
     "simvisord --help"},
    {"dmesg", kDaemonLog},
    {"claims", "info shows outstanding_claims"},
    {"sched-*", kNoScheduler},
    {"cpupool-*", kOnePool},
    {"pci-*", kNoDevices},
    {"usbctrl-*", kNoDevices},
    {"usbdev-*", kNoDevices},
    {"usb-*", kNoDevices},
    {"block-*", kNoDevices},
    {"cd-*", kNoDevices},
    {"network-*", kNoDevices},
    {"channel-list", kNoDevices},
    {"vtpm-*", kNoDevices},
    {"vdispl-*", kNoDevices},
    {"vsnd-*", kNoDevices},
    {"vkb-*", kNoDevices},
    {"tmem-*",
     "Simvisor does not simulate transcendent memory; balloon and mem-set move "
     "memory"},
    {"getenforce", kNoPolicy},
    {"setenforce", kNoPolicy},
    {"loadpolicy", kNoPolicy},
    {"psr-*", kNoCaches},
    {"qemu-monitor-command", "a PV guest has no device model"},
    {"devd", "Simvisor does not run device backends"},
};

bool Names(const Absent& absent, absl::string_view verb) {
  absl::string_view name = absent.verb;
  return absl::ConsumeSuffix(&name, "*") ? absl::StartsWith(verb, name)
                                         : verb == name;
}

}  // namespace

absl::string_view WhyAbsent(absl::string_view verb) {
  const auto found =
      std::find_if(std::begin(kAbsent), std::end(kAbsent),
                   [&](const Absent& absent) { return Names(absent, verb); });
  return found == std::end(kAbsent) ? "" : found->why;
}

absl::string_view FindAbsent(absl::string_view word) {
  if (!WhyAbsent(word).empty()) return word;
  absl::string_view found;
  for (const Absent& absent : kAbsent) {
    // The name of a group's verb is not known in full.
    if (absl::EndsWith(absent.verb, "*") ||
        !absl::StartsWith(absent.verb, word)) {
      continue;
    }
    if (!found.empty()) return "";
    found = absent.verb;
  }
  return found;
}

}  // namespace simvisor::client
