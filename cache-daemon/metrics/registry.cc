#include "cache-daemon/metrics/registry.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/error.h"

namespace weighhouse::metrics {
namespace {

prometheus::Labels ToLabels(const std::vector<std::string>& names, LabelValues values) {
  CHECK(names.size() == values.size());
  prometheus::Labels labels;
  size_t number = 0;
  for (std::string_view value : values) labels.emplace(names[number++], value);
  return labels;
}

prometheus::MetricFamily ToFamily(const GaugeFamily& gauges) {
  prometheus::MetricFamily family{.name = gauges.name,
                                  .help = gauges.help,
                                  .type = prometheus::MetricType::Gauge,
                                  .metric = {}};
  for (const GaugeFamily::Sample& sample : gauges.samples) {
    CHECK(gauges.labels.size() == sample.values.size());
    prometheus::ClientMetric metric;
    metric.gauge.value = sample.value;
    for (size_t i = 0; i < sample.values.size(); ++i) {
      metric.label.push_back({.name = gauges.labels[i], .value = sample.values[i]});
    }
    family.metric.push_back(std::move(metric));
  }
  return family;
}

}  // namespace

void Counter::Add(double amount) const {
  if (counter_ != nullptr) counter_->Increment(amount);
}

Counter CounterFamily::At(LabelValues values) const {
  if (family_ == nullptr) return {};
  return Counter(family_->Add(ToLabels(labels_, values)));
}

void HistogramFamily::Show(LabelValues values) const {
  if (family_ != nullptr) family_->Add(ToLabels(labels_, values), bounds_);
}

void HistogramFamily::Observe(LabelValues values, std::chrono::duration<double> took) const {
  if (family_ != nullptr) family_->Add(ToLabels(labels_, values), bounds_).Observe(took.count());
}

Registry::Registry() : registry_(std::make_unique<prometheus::Registry>()) {}
Registry::~Registry() = default;

CounterFamily Registry::Counters(const std::string& name, const std::string& help,
                                 std::vector<std::string> labels) {
  return {prometheus::BuildCounter().Name(name).Help(help).Register(*registry_), std::move(labels)};
}

HistogramFamily Registry::Histograms(const std::string& name, const std::string& help,
                                     std::vector<std::string> labels, std::vector<double> bounds) {
  return {prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_),
          std::move(labels), std::move(bounds)};
}

std::string Registry::Page(const std::vector<GaugeFamily>& gauges) const {
  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  for (const GaugeFamily& gauge : gauges) families.push_back(ToFamily(gauge));
  std::ranges::sort(families, {}, &prometheus::MetricFamily::name);
  for (prometheus::MetricFamily& family : families) {
    std::ranges::sort(family.metric,
                      [](const prometheus::ClientMetric& a, const prometheus::ClientMetric& b) {
                        return a.label < b.label;
                      });
  }
  std::ostringstream page;
  prometheus::TextSerializer().Serialize(page, families);
  return std::move(page).str();
}

}  // namespace weighhouse::metrics
