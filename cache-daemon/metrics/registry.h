#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache-daemon/metrics/history.h"

namespace prometheus {
class Counter;
class Histogram;
class Registry;
template <typename Metric>
class Family;
}  // namespace prometheus

namespace weighhouse::metrics {

/// The values of a family's labels, in the order of their names. They come from sets that the code
/// fixes, never from what users, models or servers say: each new one is one more time series.
using LabelValues = std::initializer_list<std::string_view>;

/// A sum that only grows. Copies count into the same one, which the registry owns; default-made, it
/// counts nothing. Thread-safe, and cheap: one atomic addition.
class Counter {
 public:
  Counter() = default;
  explicit Counter(prometheus::Counter& counter) : counter_(&counter) {}
  /// Exact as long as the sum is below 2^53.
  void Add(double amount = 1) const;

 private:
  prometheus::Counter* counter_ = nullptr;
};

/// Counters of one name that differ in labels. Copies are the same family, which the registry owns;
/// default-made, it counts nothing. Thread-safe.
class CounterFamily {
 public:
  CounterFamily() = default;
  CounterFamily(prometheus::Family<prometheus::Counter>& family, std::vector<std::string> labels)
      : family_(&family), labels_(std::move(labels)) {}
  /// The counter of these label values; it is on the page from now on.
  Counter At(LabelValues values) const;
  void Add(LabelValues values, double amount = 1) const { At(values).Add(amount); }

 private:
  prometheus::Family<prometheus::Counter>* family_ = nullptr;
  std::vector<std::string> labels_;
};

/// Distributions of durations. The rest as CounterFamily.
class HistogramFamily {
 public:
  HistogramFamily() = default;
  HistogramFamily(prometheus::Family<prometheus::Histogram>& family,
                  std::vector<std::string> labels, std::vector<double> bounds)
      : family_(&family), labels_(std::move(labels)), bounds_(std::move(bounds)) {}
  /// Puts the histogram of these label values on the page, empty.
  void Show(LabelValues values) const;
  void Observe(LabelValues values, std::chrono::duration<double> took) const;

 private:
  prometheus::Family<prometheus::Histogram>* family_ = nullptr;
  std::vector<std::string> labels_;
  std::vector<double> bounds_;  // seconds, ascending
};

/// What is measured when the page is asked for.
struct GaugeFamily {
  std::string name;
  std::string help;
  std::vector<std::string> labels = {};
  struct Sample {
    std::vector<std::string> values;  ///< of the labels
    double value = 0;
  };
  std::vector<Sample> samples = {};
};

/// All that one process counts, and its page. prometheus-cpp stands behind this. Thread-safe; it
/// outlives what it gave out.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Names follow Prometheus' conventions: `weighhouse_…_total`, base units. The same name again is
  /// the same family.
  CounterFamily Counters(const std::string& name, const std::string& help,
                         std::vector<std::string> labels = {});
  /// `bounds`: of the buckets, seconds.
  HistogramFamily Histograms(const std::string& name, const std::string& help,
                             std::vector<std::string> labels, std::vector<double> bounds);

  /// What was counted, and `gauges`, sorted by name: Prometheus' text format.
  std::string Page(const std::vector<GaugeFamily>& gauges) const;
  static constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

  /// Snapshots that were evicted, over the last day; not on the page, which needs no memory.
  History& evicted() { return evicted_; }
  const History& evicted() const { return evicted_; }

 private:
  const std::unique_ptr<prometheus::Registry> registry_;
  const SystemClock clock_;
  History evicted_{clock_};
};

}  // namespace weighhouse::metrics
