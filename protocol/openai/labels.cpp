#include "protocol/openai/labels.hpp"

#include "protocol/openai/json_text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

// A longer answer is no label, and is not searched for every label.
constexpr std::size_t answer_bytes_max = 64 * 1024;
constexpr std::size_t shown_labels_bytes = 300, shown_answer_bytes = 200;

// What may stand around a label that is the whole answer. Signs that may be of a label, as in "C++"
// and "-1", are not among it.
constexpr std::string_view around = " \t\r\n\"'`.,;:!?()[]{}<>*_~/|\\";
// Quotes and dots beyond ASCII: “ ” ‘ ’ „ ‚ … « » 。
constexpr std::array<std::string_view, 10> wide_around{
    "\xe2\x80\x9c", "\xe2\x80\x9d", "\xe2\x80\x98", "\xe2\x80\x99", "\xe2\x80\x9e",
    "\xe2\x80\x9a", "\xe2\x80\xa6", "\xc2\xab",     "\xc2\xbb",     "\xe3\x80\x82"};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with(std::string_view text, std::string_view label) {
  return text.size() >= label.size() && same_label(text.substr(0, label.size()), label);
}

// How many bytes at the front, or at the end, of the text are decoration; 0 = none.
std::size_t decoration_at_front(std::string_view text) {
  if (text.empty()) return 0;
  if (around.find(text.front()) != around.npos) return 1;
  for (const std::string_view wide : wide_around)
    if (text.starts_with(wide)) return wide.size();
  return 0;
}
std::size_t decoration_at_end(std::string_view text) {
  if (text.empty()) return 0;
  if (around.find(text.back()) != around.npos) return 1;
  for (const std::string_view wide : wide_around)
    if (text.ends_with(wide)) return wide.size();
  return 0;
}

bool is_decoration(std::string_view text) {
  while (const std::size_t bytes = decoration_at_front(text)) text.remove_prefix(bytes);
  return text.empty();
}

// The label may itself begin with what is decoration elsewhere, so each start is tried.
bool is_whole(std::string_view answer, std::string_view label) {
  for (;;) {
    if (starts_with(answer, label) && is_decoration(answer.substr(label.size()))) return true;
    const std::size_t bytes = decoration_at_front(answer);
    if (bytes == 0) return false;
    answer.remove_prefix(bytes);
  }
}

// Whether the text at a place goes on with a word. A hyphen does: "non-toxic" is not "toxic".
bool is_word_at_front(std::string_view text) {
  if (text.empty() || decoration_at_front(text) > 1) return false;
  const char c = lower(text.front());
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+' ||
         c == '#' || (c & '\x80') != 0;
}
bool is_word_at_end(std::string_view text) {
  return !text.empty() && decoration_at_end(text) <= 1 &&
         is_word_at_front(text.substr(text.size() - 1));
}

// The longest label that stands at this place as a whole word.
std::string_view word_at(std::string_view answer, std::size_t at,
                         const std::vector<std::string>& labels) {
  std::string_view longest;
  for (const std::string& label : labels)
    if (label.size() > longest.size() && starts_with(answer.substr(at), label) &&
        !is_word_at_front(answer.substr(at + label.size())))
      longest = label;
  return longest;
}

// A label inside a longer one does not count: "very good" is not "good".
std::string_view only_word(std::string_view answer, const std::vector<std::string>& labels) {
  std::string_view only;
  for (std::size_t at = 0; at < answer.size();) {
    const std::string_view word =
        is_word_at_end(answer.substr(0, at)) ? std::string_view{} : word_at(answer, at, labels);
    if (!word.empty() && !only.empty() && word != only) return {};
    if (!word.empty()) only = word;
    at += std::max<std::size_t>(word.size(), 1);
  }
  return only;
}

Value first_choice(std::string_view body) {
  return json::Elements{json::find(json::root(body), "choices")}.next().value_or(Value{});
}

std::string told(std::string_view body) {
  const std::string answer = answer_text(body);
  const Value choice = first_choice(body);
  const std::string refusal = json::text_of(json::find(json::find(choice, "message"), "refusal"));
  const std::string ended = json::text_of(json::find(choice, "finish_reason"));
  std::string sentence = answer.empty() && !refusal.empty() ? "the refusal " : "";
  const std::string& said = answer.empty() ? refusal : answer;
  if (said.empty()) {
    sentence += "an empty answer";
  } else {
    sentence += fmt::format("\"{}\"", json::printable(said, shown_answer_bytes));
  }
  if (!ended.empty() && ended != "stop")
    sentence += fmt::format(" (finish_reason {})", json::printable(ended, 40));
  return sentence;
}

} // namespace

std::string folded_label(std::string_view label) {
  std::string folded{label};
  std::transform(folded.begin(), folded.end(), folded.begin(), lower);
  return folded;
}

bool same_label(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string label_instruction(const std::vector<std::string>& labels) {
  return fmt::format("Answer with exactly one of these labels, spelled as here, and with nothing "
                     "else.\nLabels:\n- {}",
                     fmt::join(labels, "\n- "));
}

std::string_view label_in(std::string_view answer, const std::vector<std::string>& labels) {
  if (answer.size() > answer_bytes_max) return {};
  std::string_view longest;
  for (const std::string& label : labels)
    if (label.size() > longest.size() && is_whole(answer, label)) longest = label;
  return longest.empty() ? only_word(answer, labels) : longest;
}

// Some servers answer with parts instead of one text.
std::string answer_text(std::string_view body) {
  const Value content = json::find(json::find(first_choice(body), "message"), "content");
  std::string text = json::text_of(content);
  json::Elements parts{content};
  while (const auto part = parts.next()) text += json::text_of(json::find(*part, "text"));
  return text;
}

std::string label_of(const JobSpec& spec, const protocol::Outcome& outcome) {
  if (spec.task != "classify" || outcome.cls != OutcomeClass::ok) return {};
  return std::string{label_in(answer_text(outcome.body), spec.labels)};
}

void judge_label(const JobSpec& spec, protocol::Outcome& outcome) {
  if (spec.task != "classify" || outcome.cls != OutcomeClass::ok) return;
  if (!label_of(spec, outcome).empty()) return;
  outcome.cls = OutcomeClass::bad_result;
  outcome.code = "no_label";
  const std::string labels = fmt::format("{}", fmt::join(spec.labels, ", "));
  outcome.message = fmt::format("expected one of the labels {}, got {}",
                                json::printable(labels, shown_labels_bytes), told(outcome.body));
}

} // namespace gristmill::openai
