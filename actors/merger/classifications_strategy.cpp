#include "actors/merger/strategy.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace gristmill::merger {
namespace {

// Of those with a label; four decimals are a hundredth of a percent.
double share(std::uint64_t count, std::uint64_t all) {
  if (all == 0) return 0;
  return std::round(10'000 * static_cast<double>(count) / static_cast<double>(all)) / 10'000;
}

class ClassificationsStrategy : public Strategy {
public:
  explicit ClassificationsStrategy(std::vector<std::string> labels)
      : labels_{std::move(labels)}, counts_(labels_.size()) {}

  std::string_view name() const override { return "classifications"; }

  void add(const LineFacts& facts) override {
    const auto found = std::ranges::find(labels_, facts.label);
    if (facts.failed || found == labels_.end()) {
      ++unlabelled_;
    } else {
      ++labelled_;
      ++counts_[static_cast<std::size_t>(found - labels_.begin())];
    }
  }

  nlohmann::ordered_json result() const override {
    nlohmann::ordered_json labels = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < labels_.size(); ++i)
      labels[labels_[i]] = {{"count", counts_[i]}, {"share", share(counts_[i], labelled_)}};
    return {{"labelled", labelled_}, {"unlabelled", unlabelled_}, {"labels", std::move(labels)}};
  }

private:
  std::vector<std::string> labels_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t labelled_ = 0, unlabelled_ = 0;
};

} // namespace

std::unique_ptr<Strategy> classifications_strategy(std::vector<std::string> labels) {
  return std::make_unique<ClassificationsStrategy>(std::move(labels));
}

} // namespace gristmill::merger
