#include "protocol/openai/line/pooled_vector.hpp"

#include "protocol/openai/reply/embedding.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <limits>
#include <optional>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// NaN for what is no number, or none of a vector. What is too small to be written is 0.
double component_of(Value value) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  const std::string_view text = value.text;
  double number = none;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!value.is(Kind::number) || stop != text.data() + text.size()) return none;
  if (error == std::errc::result_out_of_range)
    return text.find("e-") != text.npos || text.find("E-") != text.npos ? 0 : none;
  return error == std::errc{} ? number : none;
}

std::vector<double> vector_of(Value embedding) {
  std::vector<double> numbers;
  if (embedding.is(Kind::string)) {
    std::vector<float> floats;
    if (append_base64_floats(json::text_of(embedding), floats))
      numbers.assign(floats.begin(), floats.end());
    return numbers;
  }
  json::Elements elements{embedding};
  while (const auto element = elements.next()) numbers.push_back(component_of(*element));
  return numbers;
}

bool is_of_vector(double number) {
  return std::abs(number) <= static_cast<double>(std::numeric_limits<float>::max());
}

} // namespace

Result<> PooledVector::add(Value embedding, std::uint64_t weight) {
  const std::vector<double> numbers = vector_of(embedding);
  if (numbers.empty() || !std::ranges::all_of(numbers, is_of_vector))
    return fail(ErrorCode::bad_input, "expected a vector of numbers, got none");
  if (!sums_.empty() && numbers.size() != sums_.size())
    return fail(ErrorCode::bad_input,
                fmt::format("expected a vector of {} numbers, as of those before, got {}",
                            sums_.size(), numbers.size()));
  sums_.resize(numbers.size());
  // A compiler may fuse a product with its sum on one machine and not on another.
  for (std::size_t n = 0; n < numbers.size(); ++n)
    sums_[n] = std::fma(static_cast<double>(weight), numbers[n], sums_[n]);
  return {};
}

// The mean is the sum but for a factor, which its length takes away again.
std::string PooledVector::json() const {
  double squares = 0;
  for (const double sum : sums_) squares = std::fma(sum, sum, squares);
  const double length = std::sqrt(squares);
  std::string out = "[";
  for (const double sum : sums_) {
    if (out.size() > 1) out += ',';
    fmt::format_to(std::back_inserter(out), "{}",
                   length > 0 ? static_cast<float>(sum / length) : 0.0f);
  }
  return out + "]";
}

} // namespace gristmill::openai
