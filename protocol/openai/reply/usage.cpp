#include "protocol/openai/reply/usage.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gristmill::openai {
namespace {

using json::Value;

// A call that used more tokens than this is not believed.
constexpr std::uint64_t believable_tokens = 1'000'000'000;

std::optional<std::uint64_t> believed(Value value) {
  const auto tokens = json::count_of(value);
  return tokens && *tokens <= believable_tokens ? tokens : std::nullopt;
}

} // namespace

protocol::Usage usage_of(Value usage) {
  std::optional<std::uint64_t> prompt, completion, total;
  std::uint64_t cached = 0, reasoning = 0;
  json::Members members{usage};
  while (const auto member = members.next()) {
    const auto one_of = [&](std::string_view chat, std::string_view responses) {
      return member->named(chat) || member->named(responses);
    };
    if (one_of("prompt_tokens", "input_tokens")) prompt = believed(member->value);
    if (one_of("completion_tokens", "output_tokens")) completion = believed(member->value);
    if (member->named("total_tokens")) total = believed(member->value);
    if (one_of("prompt_tokens_details", "input_tokens_details"))
      cached = believed(json::find(member->value, "cached_tokens")).value_or(0);
    if (one_of("completion_tokens_details", "output_tokens_details"))
      reasoning = believed(json::find(member->value, "reasoning_tokens")).value_or(0);
  }
  protocol::Usage read;
  if (!prompt && !total) return read;
  read.known = true;
  read.prompt = prompt ? *prompt : *total - std::min(*total, completion.value_or(0));
  const std::uint64_t sum = total.value_or(read.prompt);
  // Some count what a model thought in the sum alone.
  read.completion = std::max(completion.value_or(0), sum - std::min(sum, read.prompt));
  read.cached = std::min(cached, read.prompt);
  read.reasoning = std::min(reasoning, read.completion);
  return read;
}

} // namespace gristmill::openai
