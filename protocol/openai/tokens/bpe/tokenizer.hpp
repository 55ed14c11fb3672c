// TOKENIZER: how many tokens a text has, exactly as OpenAI's tiktoken counts them. It splits a text
// into pieces (SPLITTER) and encodes each of them (MERGER) by the ranks of a vocabulary, which come
// from a .tiktoken file (RANK FILE). What it counts is the text alone: not what a chat template
// puts around messages.
//
// The names of special tokens, <|endoftext|> and the like, are ordinary text, as in tiktoken's
// encode_ordinary(). What is no UTF-8 counts as U+FFFD (json::as_utf8).
// Invariant: a tokenizer does not change, and any number of threads may use one at a time.
#pragma once

#include "protocol/openai/tokens/bpe/piece_merger.hpp"
#include "protocol/openai/tokens/bpe/rank_table.hpp"
#include "protocol/openai/tokens/bpe/splitter.hpp"
#include "protocol/result.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::bpe {

class Tokenizer {
public:
  // `ranks` is the text of a .tiktoken file, `name` that of its encoding (encodings.hpp); an empty
  // one follows from the number of ranks. usage: there is no such name; bad_input: all else.
  static Result<Tokenizer> read(std::string_view ranks, std::string_view name = {});

  std::uint64_t count(std::string_view text) const;
  std::vector<Rank> encode(std::string_view text) const;

  // Where a text's tokens end, as far as one is asked; see below.
  class Ends;

  const std::string& name() const { return name_; }
  // SHA-256 of the file, in 64 hex digits, as sha256sum prints it and OpenAI publishes it. It and
  // the name are what a count depends on.
  const std::string& hash() const { return hash_; }
  std::size_t vocabulary() const { return ranks_->size(); }
  std::size_t memory() const { return ranks_->memory(); } // bytes

private:
  Tokenizer(std::shared_ptr<const RankTable> ranks, Splitter splitter)
      : ranks_{std::move(ranks)}, splitter_{std::move(splitter)} {}

  std::uint64_t walk(std::string_view text, std::vector<Rank>* out) const;

  std::shared_ptr<const RankTable> ranks_;
  Splitter splitter_;
  std::string name_, hash_;
};

// TOKEN ENDS: how many tokens of a text end at or before a place in it, as the text is encoded as a
// whole. It is read as far as it is asked, and what is behind may be forgotten, so that memory is
// for as much as lies between, and for one piece.
class Tokenizer::Ends {
public:
  // Both outlive it.
  Ends(const Tokenizer& tokenizer, std::string_view text);

  std::uint64_t until(std::size_t at); // bytes of the text
  // It will not be asked of places before that one any more.
  void forget_before(std::size_t at);

private:
  std::size_t place_of(std::size_t at) const; // in what is encoded
  void read_piece();

  struct Shift {
    std::uint32_t from = 0, by = 0; // bytes of the text; as many more in what is encoded
  };
  void find_shifts(std::string_view text);

  std::string replaced_;      // the text, if it is no UTF-8
  std::vector<Shift> shifts_; // … behind each place where it was none
  Merger merger_;
  PieceReader pieces_;
  std::size_t read_ = 0;           // bytes of all pieces so far
  std::deque<std::uint32_t> ends_; // of tokens that are not forgotten
  std::uint64_t forgotten_ = 0;
  std::vector<std::uint32_t> of_piece_;
};

} // namespace gristmill::bpe
