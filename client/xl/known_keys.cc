#include "client/xl/known_keys.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/strings/str_split.h"

namespace simvisor::client {
namespace {

// Separated by blanks.
constexpr absl::string_view kEffectiveKeys =
    "arch balloon_max_retry balloon_room builder cpus cpus_soft "
    "e820_host kernel_split maxmem maxvcpus memory memory_hotplug_limit "
    "name pci shared_kernel_pmd simvisor_hotplug_limit tools_view type "
    "uuid vcpus";

// Keys of xl.cfg(5) and of xl itself, in all versions, that concern devices,
// firmware, scheduling and the like, or other kinds of guests.
constexpr absl::string_view kXlKeys =
    "acpi acpi_firmware acpi_laptop_slate acpi_s3 acpi_s4 altp2m "
    "altp2m_count altp2mhvm apic arm_sci bios bios_path_override "
    "blkdev_start boot bootloader bootloader_args bootloader_restrict "
    "bootloader_user budget cap channel claim_mode cmdline console "
    "cpu_weight cpuid device_model device_model_args device_model_args_hvm "
    "device_model_args_pv device_model_override "
    "device_model_stubdomain_override device_model_stubdomain_seclabel "
    "device_model_user device_model_version device_tree disk display "
    "dm_restrict driver_domain dtdev event_channels extra extratime "
    "firmware firmware_override gfx_passthru gic_version hap hdtype hpet "
    "hvm_pirq init_seclabel iomem ioports irqs kernel keymap latency "
    "llc_colors localtime max_event_channels max_grant_frames "
    "max_grant_version max_maptrack_frames mca_caps mmio_hole ms_vm_genid "
    "msr_relaxed nestedhvm nodes nographic nomigrate nr_spis nx on_crash "
    "on_poweroff on_reboot on_soft_reset on_watchdog oos opengl p9 pae "
    "passthrough pci_msitranslate pci_permissive pci_power_mgmt pci_seize "
    "period pool pvcalls pvh pvshim pvshim_cmdline pvshim_extra pvshim_path "
    "ramdisk rdm rdm_mem_boundary root rtc_timeoffset sched sdl seclabel "
    "serial shadow_memory slice smbios smbios_firmware soundhw spice "
    "spice_clipboard_sharing spice_image_compression spice_streaming_video "
    "spiceagent_mouse spicedisable_ticketing spicehost spicepasswd "
    "spiceport spicetls_port spiceusbredirection spicevdagent stdvga "
    "stubdomain_cmdline stubdomain_kernel stubdomain_memory "
    "stubdomain_ramdisk suppress_spurious_page_faults sve tee timer_mode "
    "trap_unmapped_accesses tsc_mode usb usbctrl usbdev usbdevice "
    "usbversion vdispl vendor_device vfb vga videoram vif vif2 viridian "
    "virtio vkb vkb_device vmtrace_buf_kb vnc vncconsole vncdisplay "
    "vnclisten vncpasswd vncunused vncviewer vnuma vpmu vpt_align vscsi "
    "vsnd vtpm vuart weight xauthority xen_platform_pci "
    "xen_platform_pci_bar_uc xend_suspend_evtchn_compat "
    "xenstore_feature_mask xenstore_quota";

// Keys of xm that old files still have.
constexpr absl::string_view kXmKeys =
    "access_control actions blkif bootargs bootentry cpu cpu_cap "
    "cpuid_check description dhcp fda fdb features flags gateway "
    "guest_os_type hostname interface ip irq isa loader "
    "machine_address_size memory_sharing monitor monitor_path netif netmask "
    "nfs_root nfs_server nics on_xend_start on_xend_stop parallel restart "
    "s3_integrity superpages target tpmif vcpu_avail vhpt vusb";

using KeySet = absl::btree_set<absl::string_view>;

KeySet Split(absl::string_view keys) { return absl::StrSplit(keys, ' '); }

const KeySet& EffectiveKeys() {
  static const auto* const kKeys = new KeySet(Split(kEffectiveKeys));
  return *kKeys;
}

const KeySet& KnownKeys() {
  static const auto* const kKeys = [] {
    auto* const keys = new KeySet(Split(kEffectiveKeys));
    keys->merge(Split(kXlKeys));
    keys->merge(Split(kXmKeys));
    return keys;
  }();
  return *kKeys;
}

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

bool IsKnownKey(absl::string_view name) { return KnownKeys().contains(name); }

bool HasEffect(absl::string_view name) {
  return EffectiveKeys().contains(name);
}

std::string NearestKey(absl::string_view name) {
  // Two slips turn a short name into any other short name.
  const size_t reach = name.size() < 6 ? 1 : 2;
  absl::string_view nearest;
  size_t best = reach + 1;
  // Of two keys at the same distance, prefer the one that has an effect.
  for (const KeySet* keys : {&EffectiveKeys(), &KnownKeys()}) {
    for (const absl::string_view key : *keys) {
      const size_t distance = EditDistance(name, key);
      if (distance < best) {
        best = distance;
        nearest = key;
      }
    }
  }
  return std::string(nearest);
}

}  // namespace simvisor::client
