#include "protocol/openai/reply/answer_text.hpp"

#include "protocol/text/blank_text.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace gristmill::openai {
namespace {

using json::Value;

// DeepSeek and Qwen, others of their kind, Mistral, Kimi, Seed, Cohere, OpenAI's harmony, Gemma.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> marks{
    {{"<think>", "</think>"},
     {"<thinking>", "</thinking>"},
     {"<thought>", "</thought>"},
     {"<reasoning>", "</reasoning>"},
     {"<analysis>", "</analysis>"},
     {"[think]", "[/think]"},
     {"\xe2\x97\x81think\xe2\x96\xb7", "\xe2\x97\x81/think\xe2\x96\xb7"},
     {"<seed:think>", "</seed:think>"},
     {"<|start_thinking|>", "<|end_thinking|>"},
     {"<|channel|>analysis", "<|channel|>final<|message|>"},
     {"<|channel>thought", "<channel|>"}}};
// What templates put around an answer, in small letters.
constexpr std::array<std::string_view, 5> special_tokens{"<|start_response|>", "<|end_response|>",
                                                         "<|return|>", "<|end|>",
                                                         "<|channel|>final<|message|>"};

// One pass: an answer may hold a million marks.
std::string without(std::string_view text, std::string_view open, std::string_view close) {
  const std::string small = json::small_letters(text);
  std::string kept;
  std::size_t at = 0, begin = small.find(open);
  for (;;) {
    const std::size_t end = small.find(close, at);
    if (begin != small.npos && begin < at) begin = small.find(open, at);
    if (end == small.npos) return kept.append(text.substr(at, std::max(begin, at) - at));
    // The end of a thought that began before the text did.
    if (begin < end)
      kept.append(text.substr(at, begin - at));
    else
      kept.clear();
    at = end + close.size();
  }
}

std::string without_tokens(std::string_view text) {
  constexpr std::string_view begins = "<|";
  if (text.find(begins) == text.npos) return std::string{text};
  const std::string small = json::small_letters(text);
  std::string kept;
  std::size_t at = 0;
  for (std::size_t next; (next = small.find(begins, at)) != small.npos;) {
    const auto token =
        std::find_if(special_tokens.begin(), special_tokens.end(), [&](std::string_view known) {
          return std::string_view{small}.substr(next).starts_with(known);
        });
    const bool is_one = token != special_tokens.end();
    kept.append(text.substr(at, next - at + (is_one ? 0 : begins.size())));
    at = next + (is_one ? token->size() : begins.size());
  }
  return kept.append(text.substr(at));
}

} // namespace

// Some servers answer with parts instead of one text.
std::string text_of_message(Value message) {
  const Value content = json::find(message, "content");
  std::string text = json::text_of(content);
  json::Elements parts{content};
  while (const auto part = parts.next()) {
    const std::string type = json::text_of(json::find(*part, "type"));
    if (type != "thinking" && type != "reasoning") text += json::text_of(json::find(*part, "text"));
  }
  return text;
}

std::string answer_text(std::string_view body) {
  const Value choices = json::find(json::root(body), "choices");
  if (const auto choice = json::Elements{choices}.next()) {
    const Value message = json::find(*choice, "message");
    return message.is(json::Kind::object) ? text_of_message(message)
                                          : json::text_of(json::find(*choice, "text"));
  }
  std::string text;
  json::Elements items{json::find(json::root(body), "output")};
  while (const auto item = items.next()) text += text_of_message(*item);
  return text;
}

std::string without_thoughts(std::string_view text) {
  std::string answer{text};
  for (const auto& [open, close] : marks) answer = without(answer, open, close);
  return without_tokens(answer);
}

std::string_view without_fence(std::string_view text) {
  constexpr std::string_view fence = "```";
  text = without_blank_ends(text);
  const std::size_t line = text.find('\n');
  if (!text.starts_with(fence) || !text.ends_with(fence) || line == text.npos ||
      text.size() < line + fence.size())
    return text;
  return without_blank_ends(text.substr(line, text.size() - line - fence.size()));
}

} // namespace gristmill::openai
