#include "actors/merger/strategy.hpp"

#include "actors/merger/tally.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace gristmill::merger {
namespace {

// Two decimals are enough for people.
double mean(std::uint64_t sum, std::uint64_t count) {
  if (count == 0) return 0;
  return std::round(100 * static_cast<double>(sum) / static_cast<double>(count)) / 100;
}

class TextStrategy : public Strategy {
public:
  std::string_view name() const override { return "text"; }

  void add(const LineFacts& facts) override {
    if (facts.failed || facts.answers.empty()) return;
    for (const Answer& answer : facts.answers) {
      finish_reasons_.add(answer.finish_reason.empty() ? "unknown" : answer.finish_reason);
      characters_ += answer.characters;
    }
    answers_ += facts.answers.size();
    tokens_ += facts.completion_tokens;
  }

  nlohmann::ordered_json result() const override {
    return {{"answers", answers_},
            {"finish_reasons", finish_reasons_.counts()},
            {"mean_answer_characters", mean(characters_, answers_)},
            {"mean_answer_tokens", mean(tokens_, answers_)}};
  }

private:
  Tally finish_reasons_;
  std::uint64_t answers_ = 0, characters_ = 0, tokens_ = 0;
};

} // namespace

std::unique_ptr<Strategy> text_strategy() {
  return std::make_unique<TextStrategy>();
}

} // namespace gristmill::merger
