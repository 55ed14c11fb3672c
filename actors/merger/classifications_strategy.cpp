#include "actors/merger/strategy.hpp"

#include "actors/merger/agreement.hpp"
#include "protocol/openai/task/labels.hpp"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

namespace gristmill::merger {
namespace {

using Json = nlohmann::ordered_json;

// Four decimals are a hundredth of a percent.
double four_decimals(double value) {
  const double rounded = std::round(10'000 * value) / 10'000;
  return rounded == 0 ? 0 : rounded; // and not -0.0
}

// Of those with a label.
double share(std::uint64_t count, std::uint64_t all) {
  return all == 0 ? 0 : four_decimals(static_cast<double>(count) / static_cast<double>(all));
}

Json json_of(const std::optional<double>& value) {
  return value ? Json(four_decimals(*value)) : Json();
}

class ClassificationsStrategy : public Strategy {
public:
  ClassificationsStrategy(std::vector<std::string> labels, std::vector<std::string> models)
      : labels_{std::move(labels)}, models_{std::move(models)}, counts_(labels_.size()),
        pairs_(models_.size() * (models_.size() - (models_.empty() ? 0 : 1)) / 2,
               Agreement{labels_.size()}),
        said_(models_.size()) {
    for (std::size_t i = 0; i < labels_.size(); ++i)
      places_.emplace(openai::folded_label(labels_[i]), i);
  }

  std::string_view name() const override { return "classifications"; }

  void add(const LineFacts& facts) override {
    const auto label = place_of(facts.label);
    if (facts.failed || !label) {
      ++unlabelled_;
    } else {
      ++labelled_;
      ++counts_[*label];
    }
    ties_ += facts.tie;
    if (!pairs_.empty()) compare(facts);
  }

  Json result() const override {
    Json labels = Json::object();
    for (std::size_t i = 0; i < labels_.size(); ++i)
      labels[labels_[i]] = {{"count", counts_[i]}, {"share", share(counts_[i], labelled_)}};
    Json json{{"labelled", labelled_}, {"unlabelled", unlabelled_}, {"labels", std::move(labels)}};
    if (pairs_.empty()) return json;
    json["ties"] = ties_;
    json["agreement"] = agreement();
    return json;
  }

private:
  std::optional<std::size_t> place_of(std::string_view label) const {
    if (label.empty()) return std::nullopt;
    const auto found = places_.find(openai::folded_label(label));
    return found == places_.end() ? std::nullopt : std::optional{found->second};
  }

  // A failed item counts for the models that answered it.
  void compare(const LineFacts& facts) {
    for (std::size_t i = 0; i < said_.size(); ++i)
      said_[i] = i < facts.by_model.size() ? place_of(facts.by_model[i].label) : std::nullopt;
    auto pair = pairs_.begin();
    for (std::size_t i = 0; i < said_.size(); ++i)
      for (std::size_t j = i + 1; j < said_.size(); ++j, ++pair)
        if (said_[i] && said_[j]) pair->add(*said_[i], *said_[j]);
  }

  Json agreement() const {
    Json list = Json::array();
    auto pair = pairs_.begin();
    for (std::size_t i = 0; i < models_.size(); ++i)
      for (std::size_t j = i + 1; j < models_.size(); ++j, ++pair)
        list.push_back({{"models", Json::array({models_[i], models_[j]})},
                        {"items", pair->items()},
                        {"agree", pair->agree()},
                        {"agreement", json_of(pair->share())},
                        {"kappa", json_of(pair->kappa())}});
    return list;
  }

  std::vector<std::string> labels_, models_;
  std::map<std::string, std::size_t> places_;    // of each label, by its folded form
  std::vector<std::uint64_t> counts_;            // of each label
  std::vector<Agreement> pairs_;                 // of each two models, in their order
  std::vector<std::optional<std::size_t>> said_; // the labels of one item, by model
  std::uint64_t labelled_ = 0, unlabelled_ = 0, ties_ = 0;
};

} // namespace

std::unique_ptr<Strategy> classifications_strategy(std::vector<std::string> labels,
                                                   std::vector<std::string> models) {
  return std::make_unique<ClassificationsStrategy>(std::move(labels), std::move(models));
}

} // namespace gristmill::merger
