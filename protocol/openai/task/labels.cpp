#include "protocol/openai/task/labels.hpp"

#include "protocol/openai/reply/answer.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

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
// Spaces, marks without width, quotes, dots and brackets beyond ASCII, but no hyphens.
constexpr std::array<std::pair<char32_t, char32_t>, 16> wide_around{{
    {0xa0, 0xa1},
    {0xa7, 0xa7},
    {0xab, 0xab},
    {0xad, 0xad},
    {0xb6, 0xb7},
    {0xbb, 0xbb},
    {0xbf, 0xbf},
    {0x2000, 0x200f},
    {0x2012, 0x205e},
    {0x2060, 0x206f},
    {0x3000, 0x3003},
    {0x3008, 0x301f},
    {0xfeff, 0xfeff},
    {0xff01, 0xff0f},
    {0xff1a, 0xff20},
    {0xff3b, 0xff65},
}};

// A code point and its bytes; U+0000 of one byte where it is none.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;
};

CodePoint code_point_at_front(std::string_view text) {
  const auto byte = [&](std::size_t n) { return static_cast<unsigned char>(text[n]); };
  const std::size_t bytes = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : byte(0) >= 0xc0 ? 2 : 1;
  if (bytes == 1 || bytes > text.size()) return {};
  char32_t value = byte(0) & (0xffu >> (bytes + 1));
  for (std::size_t n = 1; n < bytes; ++n) value = (value << 6) | (byte(n) & 0x3fu);
  return {value, bytes};
}

bool is_wide_around(char32_t value) {
  return std::any_of(wide_around.begin(), wide_around.end(), [value](const auto& range) {
    return value >= range.first && value <= range.second;
  });
}

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
  const CodePoint at_front = code_point_at_front(text);
  return is_wide_around(at_front.value) ? at_front.bytes : 0;
}
std::size_t decoration_at_end(std::string_view text) {
  if (text.empty()) return 0;
  if (around.find(text.back()) != around.npos) return 1;
  std::size_t last = text.size() - 1;
  while (last > 0 && (text[last] & '\xc0') == '\x80') --last;
  const CodePoint at_end = code_point_at_front(text.substr(last));
  return is_wide_around(at_end.value) ? at_end.bytes : 0;
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
  const std::string answer = without_thoughts(answer_text(body));
  const Value choice = first_choice(body);
  const std::string ended = finish_reason_of(choice);
  std::string sentence;
  if (answer.find_first_not_of(" \t\r\n") == answer.npos) {
    sentence += answer_text(body).empty() ? "an empty answer" : "thoughts without an answer";
  } else {
    sentence += fmt::format("\"{}\"", json::printable(answer, shown_answer_bytes));
  }
  if (!ended.empty() && ended != "stop")
    sentence += fmt::format(" (finish_reason {})", json::printable(ended, 40));
  if (is_cut(ended)) sentence += "; raise --max-tokens";
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

std::string label_of(const JobSpec& spec, const protocol::Reply& reply) {
  if (!info(spec.shape.task).has_labels || reply.cls != OutcomeClass::ok) return {};
  if (reply.stored) return reply.stored.label;
  // A label that was cut may be the beginning of another one.
  if (is_cut(finish_reason_of(first_choice(reply.body)))) return {};
  return std::string{label_in(without_thoughts(answer_text(reply.body)), spec.shape.labels)};
}

void judge_label(const JobSpec& spec, protocol::Reply& reply) {
  if (!info(spec.shape.task).has_labels || reply.cls != OutcomeClass::ok) return;
  if (!label_of(spec, reply).empty()) return;
  const Value message = json::find(first_choice(reply.body), "message");
  const std::string refusal = json::text_of(json::find(message, "refusal"));
  if (!refusal.empty() && text_of_message(message).empty()) {
    reply.cls = OutcomeClass::policy;
    reply.code = "refusal";
    reply.message = "the model refuses: " + json::printable(refusal, shown_answer_bytes);
    return;
  }
  reply.cls = OutcomeClass::bad_result;
  reply.code = "no_label";
  const std::string labels = fmt::format("{}", fmt::join(spec.shape.labels, ", "));
  reply.message = fmt::format("expected one of the labels {}, got {}",
                              json::printable(labels, shown_labels_bytes), told(reply.body));
}

} // namespace gristmill::openai
