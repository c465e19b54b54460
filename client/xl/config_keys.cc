#include "client/xl/config_keys.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"

namespace simvisor::client {
namespace {

// The keys of xl.cfg(5), a few that only old files carry, and our own.
constexpr absl::string_view kKnownKeys[] = {"acpi",
                                            "acpi_firmware",
                                            "acpi_s3",
                                            "acpi_s4",
                                            "altp2m",
                                            "apic",
                                            "arch_arm",
                                            "argo",
                                            "bios",
                                            "bios_path_override",
                                            "blkdev_start",
                                            "boot",
                                            "bootloader",
                                            "bootloader_args",
                                            "builder",
                                            "channel",
                                            "claim_mode",
                                            "cmdline",
                                            "console",
                                            "cpu_weight",
                                            "cpuid",
                                            "cpus",
                                            "cpus_soft",
                                            "device_model",
                                            "device_model_args",
                                            "device_model_args_hvm",
                                            "device_model_args_pv",
                                            "device_model_override",
                                            "device_model_stubdomain_cmdline",
                                            "device_model_stubdomain_override",
                                            "device_model_stubdomain_seclabel",
                                            "device_model_user",
                                            "device_model_version",
                                            "device_tree",
                                            "disk",
                                            "dm_restrict",
                                            "driver_domain",
                                            "dtdev",
                                            "e820_host",
                                            "event_channels",
                                            "extra",
                                            "firmware",
                                            "gfx_passthru",
                                            "gic_version",
                                            "hap",
                                            "hdtype",
                                            "hpet",
                                            "hvm_extra",
                                            "init_seclabel",
                                            "iomem",
                                            "ioports",
                                            "irqs",
                                            "kernel",
                                            "keymap",
                                            "kbd",
                                            "localtime",
                                            "llc_colors",
                                            "max_event_channels",
                                            "max_grant_frames",
                                            "max_grant_version",
                                            "max_maptrack_frames",
                                            "maxmem",
                                            "maxvcpus",
                                            "mca_caps",
                                            "memory",
                                            "mmio_hole",
                                            "ms_vm_genid",
                                            "msr_relaxed",
                                            "name",
                                            "nestedhvm",
                                            "nographic",
                                            "nomigrate",
                                            "nx",
                                            "on_crash",
                                            "on_poweroff",
                                            "on_reboot",
                                            "on_soft_reset",
                                            "on_watchdog",
                                            "opengl",
                                            "p9",
                                            "pae",
                                            "passthrough",
                                            "pci",
                                            "pci_msitranslate",
                                            "pci_permissive",
                                            "pci_power_mgmt",
                                            "pci_seize",
                                            "pool",
                                            "processor_trace_buf_kb",
                                            "pvh",
                                            "pvshim",
                                            "pvshim_cmdline",
                                            "pvshim_extra",
                                            "pvshim_path",
                                            "ramdisk",
                                            "rdm",
                                            "rdm_mem_boundary",
                                            "root",
                                            "rtc_timeoffset",
                                            "sched",
                                            "sdl",
                                            "seclabel",
                                            "serial",
                                            "shadow_memory",
                                            "shm",
                                            "simvisor_balloon_max_retry",
                                            "simvisor_hotplug_limit",
                                            "smbios",
                                            "smbios_firmware",
                                            "soundhw",
                                            "spice",
                                            "spiceagent_mouse",
                                            "spice_clipboard_sharing",
                                            "spicedisable_ticketing",
                                            "spicehost",
                                            "spicepasswd",
                                            "spiceport",
                                            "spicetls_port",
                                            "spiceusbredirection",
                                            "spicevdagent",
                                            "static_shm",
                                            "stdvga",
                                            "suppress_spurious_page_faults",
                                            "system_firmware",
                                            "tee",
                                            "timer_mode",
                                            "tpm_version",
                                            "trap_unmapped_accesses",
                                            "tsc_mode",
                                            "type",
                                            "usb",
                                            "usbctrl",
                                            "usbdev",
                                            "usbdevice",
                                            "usbversion",
                                            "uuid",
                                            "vcpus",
                                            "vdispl",
                                            "vfb",
                                            "vga",
                                            "videoram",
                                            "vif",
                                            "vif2",
                                            "viommu",
                                            "viridian",
                                            "virtio",
                                            "vkb",
                                            "vmtrace_buf_kb",
                                            "vnc",
                                            "vncconsole",
                                            "vncdisplay",
                                            "vnclisten",
                                            "vncpasswd",
                                            "vncunused",
                                            "vnuma",
                                            "vpmu",
                                            "vpt_align",
                                            "vscsi",
                                            "vsnd",
                                            "vtpm",
                                            "vuart",
                                            "watchdog",
                                            "xen_platform_pci",
                                            "xend_suspend_evtchn_compat"};

bool IsNameChar(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// Reads a config one character at a time.
class KeyScanner {
 public:
  explicit KeyScanner(absl::string_view text) : text_(text) {}

  std::vector<AssignedKey> Scan() {
    while (at_ < text_.size()) Step();
    return std::move(keys_);
  }

 private:
  void Step() {
    const char c = text_[at_];
    if (at_start_ && absl::ascii_islower(c)) return TakeName();
    if (c == '#') return SkipComment();
    if (c == '"' || c == '\'') return SkipString();
    if (c == '[') ++depth_;
    if (c == ']' && depth_ > 0) --depth_;
    if (c == '\n') ++line_;
    if ((c == '\n' || c == ';') && depth_ == 0) {
      at_start_ = true;
    } else if (!absl::ascii_isspace(c)) {
      at_start_ = false;
    }
    ++at_;
  }

  void TakeName() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsNameChar(text_[at_])) ++at_;
    keys_.push_back({std::string(text_.substr(begin, at_ - begin)), line_});
    at_start_ = false;
  }

  void SkipComment() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
  }

  // A string ends with its line, since libxlutil refuses longer ones.
  void SkipString() {
    const char quote = text_[at_++];
    at_start_ = false;
    while (at_ < text_.size() && text_[at_] != '\n') {
      const char c = text_[at_++];
      if (c == quote) return;
      if (c == '\\' && at_ < text_.size() && text_[at_] != '\n') ++at_;
    }
  }

  absl::string_view text_;
  size_t at_ = 0;
  int line_ = 1;
  int depth_ = 0;
  bool at_start_ = true;
  std::vector<AssignedKey> keys_;
};

// Levenshtein distance.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::vector<AssignedKey> FindAssignedKeys(absl::string_view text) {
  return KeyScanner(text).Scan();
}

bool IsKnownKey(absl::string_view name) {
  return std::find(std::begin(kKnownKeys), std::end(kKnownKeys), name) !=
         std::end(kKnownKeys);
}

std::string NearestKey(absl::string_view name) {
  // Two slips in a short name make any other short name.
  const size_t reach = name.size() < 6 ? 1 : 2;
  absl::string_view nearest;
  size_t best = reach + 1;
  for (const absl::string_view key : kKnownKeys) {
    const size_t distance = EditDistance(name, key);
    if (distance < best) {
      best = distance;
      nearest = key;
    }
  }
  return std::string(nearest);
}

}  // namespace simvisor::client
