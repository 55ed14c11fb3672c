// REDUCE: which answers of an item's chunks are joined by one call. Answers are taken in order, as
// many as have so many tokens together, but at least two; what is left over at the end, one alone,
// goes with those before it. While a level has more than one answer there is another one above it,
// so the levels are a tree with one answer at its top. Invariant: the groups follow from the sizes
// of durable answers alone, so that a restart finds the same tree.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gristmill::bpe {
class Tokenizer;
} // namespace gristmill::bpe

namespace gristmill::openai {

// Tokens of an answer, by the tokenizer or, without one, the estimate's likely ones, rounded up; at
// least 1.
std::uint32_t answer_size(std::string_view answer, const bpe::Tokenizer* tokenizer = nullptr);

// Where each group begins: [0, …], one for each call of the level above. `sizes` is not empty.
std::vector<std::uint32_t> groups_of(std::span<const std::uint32_t> sizes, std::uint32_t tokens);

} // namespace gristmill::openai
