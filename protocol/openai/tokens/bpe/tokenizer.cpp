#include "protocol/openai/tokens/bpe/tokenizer.hpp"

#include "protocol/openai/tokens/bpe/encodings.hpp"
#include "protocol/openai/tokens/bpe/rank_file.hpp"
#include "protocol/text/broken_text.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <iterator>
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

constexpr std::string_view replacement = "\ufffd";

} // namespace

// Both texts agree but for what was replaced.
void Tokenizer::Ends::find_shifts(std::string_view text) {
  std::int64_t shift = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto place = static_cast<std::size_t>(static_cast<std::int64_t>(at) + shift);
    if (replaced_.compare(place, replacement.size(), replacement) != 0) {
      ++at;
    } else if (text.substr(at).starts_with(replacement)) {
      at += replacement.size(); // one that was there
    } else {
      const std::size_t bytes = json::broken_bytes(text.substr(at));
      at += bytes;
      shift += static_cast<std::int64_t>(replacement.size() - bytes);
      shifts_.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(shift)});
    }
  }
}

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
  PieceReader pieces{splitter_, text};
  std::uint64_t tokens = 0;
  for (std::string_view piece = pieces.next(); !piece.empty(); piece = pieces.next())
    for (; !piece.empty(); piece.remove_prefix(std::min(piece.size(), piece_bytes_max)))
      tokens += merger.encode(piece.substr(0, piece_bytes_max), out);
  return tokens;
}

Tokenizer::Ends::Ends(const Tokenizer& tokenizer, std::string_view text)
    : replaced_{json::is_utf8(text) ? "" : json::as_utf8(text)}, merger_{*tokenizer.ranks_},
      pieces_{tokenizer.splitter_, replaced_.empty() ? text : std::string_view{replaced_}} {
  if (!replaced_.empty()) find_shifts(text);
}

std::size_t Tokenizer::Ends::place_of(std::size_t at) const {
  const auto next = std::ranges::upper_bound(shifts_, at, {}, &Shift::from);
  return next == shifts_.begin() ? at : at + std::prev(next)->by;
}

void Tokenizer::Ends::read_piece() {
  std::string_view piece = pieces_.next();
  for (; !piece.empty(); piece.remove_prefix(std::min(piece.size(), piece_bytes_max))) {
    const std::string_view part = piece.substr(0, piece_bytes_max);
    of_piece_.clear();
    merger_.encode_ends(part, of_piece_);
    for (const std::uint32_t end : of_piece_)
      ends_.push_back(static_cast<std::uint32_t>(read_) + end);
    read_ += part.size();
  }
}

std::uint64_t Tokenizer::Ends::until(std::size_t at) {
  const std::size_t place = place_of(at);
  for (std::size_t before = read_; read_ < place; before = read_) {
    read_piece();
    if (read_ == before) break; // the text's end
  }
  const auto beyond = std::ranges::upper_bound(ends_, place);
  return forgotten_ + static_cast<std::uint64_t>(beyond - ends_.begin());
}

void Tokenizer::Ends::forget_before(std::size_t at) {
  const std::size_t place = place_of(at);
  for (; !ends_.empty() && ends_.front() <= place; ends_.pop_front()) ++forgotten_;
}

} // namespace gristmill::bpe
