#include "protocol/openai/chunk/reduce.hpp"

#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "protocol/openai/tokens/estimate.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace gristmill::openai {

// By whole thousandths, which are the same on every machine.
std::uint32_t answer_size(std::string_view answer, const bpe::Tokenizer* tokenizer) {
  if (tokenizer != nullptr)
    return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, tokenizer->count(answer)));
  const auto thousandths = std::llround(text_tokens(answer).likely * 1'000);
  return static_cast<std::uint32_t>(std::max(1LL, (thousandths + 999) / 1'000));
}

std::vector<std::uint32_t> groups_of(std::span<const std::uint32_t> sizes, std::uint32_t tokens) {
  std::vector<std::uint32_t> begins{0};
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < sizes.size(); ++i) {
    if (i - begins.back() >= 2 && sum + sizes[i] > tokens) {
      begins.push_back(i);
      sum = 0;
    }
    sum += sizes[i];
  }
  const bool one_alone = begins.size() > 1 && begins.back() + 1 == sizes.size();
  if (one_alone && begins.back() - begins[begins.size() - 2] >= 3)
    --begins.back();
  else if (one_alone)
    begins.pop_back();
  return begins;
}

} // namespace gristmill::openai
