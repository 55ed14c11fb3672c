#include "actors/merger/strategy.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace gristmill::merger {
namespace {

using Json = nlohmann::ordered_json;

// As many digits as a float32 is good for.
double rounded(double value) {
  return std::round(1e6 * value) / 1e6;
}

double norm_of(std::span<const float> vector) {
  double sum = 0;
  for (const float value : vector) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

class EmbeddingsStrategy : public Strategy {
public:
  std::string_view name() const override { return "embeddings"; }
  bool wants_vectors() const override { return true; }

  void add(const LineFacts& facts) override {
    if (facts.failed) return;
    unreadable_ += facts.vectors.unreadable;
    for (std::size_t i = 0; i < facts.vectors.size(); ++i) add(facts.vectors[i]);
  }

  Json result() const override {
    const std::uint64_t measured = vectors_ - not_finite_;
    const auto norm = [&](double value) { return measured == 0 ? Json() : Json(rounded(value)); };
    return {{"vectors", vectors_},
            {"dimensions", dimensions_},
            {"other_dimensions", other_dimensions_},
            {"zero_vectors", zero_},
            {"not_finite", not_finite_},
            {"unreadable", unreadable_},
            {"norm",
             {{"mean", norm(norms_ / static_cast<double>(std::max<std::uint64_t>(measured, 1)))},
              {"min", norm(norm_min_)},
              {"max", norm(norm_max_)}}}};
  }

private:
  void add(std::span<const float> vector) {
    if (vectors_++ == 0) dimensions_ = vector.size();
    other_dimensions_ += vector.size() != dimensions_;
    const double norm = norm_of(vector);
    if (!std::isfinite(norm)) {
      ++not_finite_;
      return;
    }
    zero_ += norm == 0;
    norm_min_ = norms_known_ ? std::min(norm_min_, norm) : norm;
    norm_max_ = std::max(norm_max_, norm);
    norms_ += norm;
    norms_known_ = true;
  }

  std::uint64_t vectors_ = 0, dimensions_ = 0, other_dimensions_ = 0; // than the first one's
  std::uint64_t zero_ = 0, not_finite_ = 0, unreadable_ = 0;
  double norms_ = 0, norm_min_ = 0, norm_max_ = 0;
  bool norms_known_ = false;
};

} // namespace

std::unique_ptr<Strategy> embeddings_strategy() {
  return std::make_unique<EmbeddingsStrategy>();
}

} // namespace gristmill::merger
