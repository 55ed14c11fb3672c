#include "protocol/openai/tokens/bpe/tokenizer.hpp"

#include "protocol/openai/tokens/bpe/encodings.hpp"
#include "protocol/openai/tokens/bpe/piece_merger.hpp"
#include "protocol/openai/tokens/bpe/rank_file.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <sodium.h>
#include <utility>

namespace gristmill::bpe {
namespace {

// A longer piece, which no machine of ours will see, is encoded in parts: places are 32 bits wide.
constexpr std::size_t piece_bytes_max = 1u << 30;

std::string sha256_of(std::string_view text) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
  std::array<char, hash.size() * 2 + 1> hex{};
  return sodium_bin2hex(hex.data(), hex.size(), hash.data(), hash.size());
}

} // namespace

Result<Tokenizer> Tokenizer::read(std::string_view ranks, std::string_view name) {
  auto table = read_ranks(ranks);
  GRISTMILL_TRY(table);
  auto encoding = encoding_of(name, table->size());
  GRISTMILL_TRY(encoding);
  auto splitter = Splitter::compile(encoding->pattern);
  GRISTMILL_TRY(splitter);
  Tokenizer tokenizer{std::make_shared<const RankTable>(std::move(*table)), std::move(*splitter)};
  tokenizer.name_ = std::move(encoding->name);
  tokenizer.hash_ = sha256_of(ranks);
  return tokenizer;
}

std::uint64_t Tokenizer::count(std::string_view text) const {
  return walk(text, nullptr);
}

std::vector<Rank> Tokenizer::encode(std::string_view text) const {
  std::vector<Rank> tokens;
  walk(text, &tokens);
  return tokens;
}

std::uint64_t Tokenizer::walk(std::string_view text, std::vector<Rank>* out) const {
  if (!json::is_utf8(text)) return walk(json::as_utf8(text), out);
  Merger merger{*ranks_};
  std::uint64_t tokens = 0;
  splitter_.split(text, [&](std::string_view piece) {
    for (; !piece.empty(); piece.remove_prefix(std::min(piece.size(), piece_bytes_max)))
      tokens += merger.encode(piece.substr(0, piece_bytes_max), out);
  });
  return tokens;
}

} // namespace gristmill::bpe
