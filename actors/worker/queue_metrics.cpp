#include "actors/worker/queue_metrics.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill::worker {
namespace {

// vLLM, SGLang, Text Generation Inference, llama.cpp, Triton.
constexpr std::array<std::string_view, 5> waiting_names{
    "vllm:num_requests_waiting", "sglang:num_queue_reqs", "tgi_queue_size",
    "llamacpp:requests_deferred", "nv_inference_pending_request_count"};
constexpr std::array<std::string_view, 4> running_names{
    "vllm:num_requests_running", "sglang:num_running_reqs", "tgi_batch_current_size",
    "llamacpp:requests_processing"};
constexpr double calls_max = 1e9; // whatever says more is mistaken

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

std::string_view without_blanks_ahead(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

// One line that is read from its front.
class Series {
public:
  Series(std::string_view line, std::string_view model)
      : rest_{without_blanks_ahead(line)}, model_{model} {}

  std::string_view name() {
    const auto end = std::min(rest_.find_first_of("{ \t\r"), rest_.size());
    const std::string_view name = rest_.substr(0, end);
    rest_ = without_blanks_ahead(rest_.substr(end));
    return name;
  }

  // False: the line is cut, or the series is a part of another one, or another model's.
  bool pass_labels() {
    if (!rest_.starts_with('{')) return true;
    rest_.remove_prefix(1);
    while (true) {
      while (!rest_.empty() && (is_blank(rest_.front()) || rest_.front() == ','))
        rest_.remove_prefix(1);
      if (rest_.empty()) return false;
      if (rest_.front() == '}') break;
      if (!pass_label()) return false;
    }
    rest_ = without_blanks_ahead(rest_.substr(1));
    return !is_part_;
  }

  std::optional<double> value() const {
    std::string_view text = rest_.substr(0, std::min(rest_.find_first_of(" \t\r"), rest_.size()));
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    if (!std::isfinite(value) || value < 0) return std::nullopt;
    return value;
  }

private:
  // name="value" with \\, \" and \n in the value
  bool pass_label() {
    const auto equals = rest_.find('=');
    if (equals == rest_.npos) return false;
    std::string_view name = rest_.substr(0, equals);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    rest_ = without_blanks_ahead(rest_.substr(equals + 1));
    if (!rest_.starts_with('"')) return false;
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return false;
    // SGLang splits its numbers up by priority beside telling them whole.
    if (name == "priority" && end > 1) is_part_ = true;
    const bool names_model = name == "model_name" || name == "model";
    if (names_model && !model_.empty() && rest_.substr(1, end - 1) != model_) is_part_ = true;
    rest_.remove_prefix(end + 1);
    return true;
  }

  std::string_view rest_, model_;
  bool is_part_ = false;
};

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

} // namespace

std::optional<QueueMetrics> queue_metrics(std::string_view page, std::string_view model) {
  std::optional<double> waiting, running;
  // Each line ends with a line feed; what does not may lack its last digits.
  for (std::size_t end; (end = page.find('\n')) != page.npos; page.remove_prefix(end + 1)) {
    Series series{page.substr(0, end), model};
    const std::string_view name = series.name();
    const bool of_waiting = is_one_of(name, waiting_names);
    if ((!of_waiting && !is_one_of(name, running_names)) || !series.pass_labels()) continue;
    const auto value = series.value();
    if (!value) continue;
    std::optional<double>& sum = of_waiting ? waiting : running;
    sum = std::min(sum.value_or(0) + *value, calls_max);
  }
  if (!waiting) return std::nullopt;
  return QueueMetrics{static_cast<std::uint64_t>(std::llround(*waiting)),
                      running ? std::llround(*running) : -1};
}

std::string names_of_waiting() {
  return fmt::format("{}", fmt::join(waiting_names, ", "));
}

} // namespace gristmill::worker
