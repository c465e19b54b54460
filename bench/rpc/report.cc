#include "bench/rpc/report.h"

#include <sys/utsname.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace simvisor::bench {
namespace {

double LoadAverage() {
  double average = 0;
  getloadavg(&average, 1);
  return average;
}

std::string HostName() {
  utsname name = {};
  return uname(&name) == 0 ? name.nodename : "";
}

// Four significant digits, and no exponent.
std::string Shown(double value) {
  const double size = std::fabs(value);
  const int digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  return absl::StrFormat("%.*f", digits, value);
}

std::string ShownRange(const Figure& figure) {
  if (!figure.min) return "";
  return absl::StrCat("(", Shown(*figure.min), " to ", Shown(*figure.max), ")");
}

std::string ShownRatio(const Figure& figure) {
  if (!figure.ratio) return "";
  const Spread& ratio = *figure.ratio;
  const std::string range =
      ratio.min == ratio.max
          ? ""
          : absl::StrFormat(" (%.2f to %.2f)", ratio.min, ratio.max);
  return absl::StrFormat("%.2f%s of %s", ratio.median, range, figure.ratio_to);
}

nlohmann::json ToJson(const Figure& figure) {
  nlohmann::json json = {
      {"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
  if (figure.min) {
    json["min"] = *figure.min;
    json["max"] = *figure.max;
  }
  if (figure.ratio) {
    json["ratio_to"] = figure.ratio_to;
    json["ratio"] = figure.ratio->median;
    json["ratio_min"] = figure.ratio->min;
    json["ratio_max"] = figure.ratio->max;
  }
  return json;
}

}  // namespace

Report::Report() : load_average_(LoadAverage()) {
  Note(absl::StrFormat("load average %.2f, %d cores", load_average_,
                       std::thread::hardware_concurrency()));
}

void Report::Add(const std::string& name, double value,
                 const std::string& unit) {
  Figure figure;
  figure.name = name;
  figure.value = value;
  figure.unit = unit;
  Add(std::move(figure));
}

void Report::Add(const std::string& name, const std::vector<double>& samples,
                 const std::string& unit) {
  Add(name, samples, unit, "", {});
}

void Report::Add(const std::string& name, const std::vector<double>& samples,
                 const std::string& unit, const std::string& ratio_to,
                 const std::vector<double>& ratios) {
  const Spread spread = SpreadOf(samples);
  Figure figure;
  figure.name = name;
  figure.value = spread.median;
  figure.unit = unit;
  if (samples.size() > 1) {
    figure.min = spread.min;
    figure.max = spread.max;
  }
  figure.ratio_to = ratio_to;
  if (!ratios.empty()) figure.ratio = SpreadOf(ratios);
  Add(std::move(figure));
}

void Report::Add(Figure figure) {
  Note(absl::StrFormat("%-32s %10s %-14s %-22s %s", figure.name,
                       Shown(figure.value), figure.unit, ShownRange(figure),
                       ShownRatio(figure)));
  figures_.push_back(std::move(figure));
}

void Report::Note(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

absl::Status Report::WriteJson(const std::string& path) const {
  nlohmann::json json;
  json["context"] = {{"host", HostName()},
                     {"cores", std::thread::hardware_concurrency()},
                     {"load_average", load_average_},
                     {"date", absl::FormatTime(absl::RFC3339_sec, absl::Now(),
                                               absl::UTCTimeZone())},
                     {"build", SIMVISOR_BUILD},
                     {"simvisord", version_}};
  json["benchmarks"] = nlohmann::json::array();
  for (const Figure& figure : figures_) {
    json["benchmarks"].push_back(ToJson(figure));
  }
  std::ofstream file(path);
  file << json.dump(1) << '\n';
  file.close();
  if (file) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace simvisor::bench
