// MERGER: one piece of text becomes tokens, as byte-pair encoding defines them: it begins with a
// token for each byte, and joins two neighbours again and again, always those whose joined bytes
// have the lowest rank, of equal ones the leftmost, until no two neighbours make a token.
//
// Short pieces are searched for the lowest rank each time. Long ones have a heap of what could be
// joined, and are encoded by windows, so that a word of many megabytes takes no more memory than
// one window and never leaves the processor's caches. That this changes nothing rests on a lemma:
//
//   Tokens t1 … tn are the encoding of their text if and only if for each i the two tokens
//   t[i] t[i+1] are the encoding of theirs.
//
// For a joint across the border of t[i] and t[i+1] that came first of all such joints would come
// in these two alone, too: what is within them is joined in the same order, as nothing reaches in
// from outside before. And the other way round alike.
//
// So a window's tokens are kept but for those near its end, the next window begins where they end,
// at the seam, and the two tokens that meet there are asked. If they are not the encoding of their
// text, the windows before the seam are encoded anew, twice as large.
//
//   window 1  |t1 t2 t3 t4 … tk|. . . . .|    kept: t1 … tk
//   window 2               seam|u1 u2 u3 u4 … um|. . . . .|    asked: tk u1
//
// Invariant: the tokens are those of the definition, whatever the ranks are; time is O(n log n).
#pragma once

#include "protocol/openai/tokens/bpe/rank_table.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gristmill::bpe {

// How long a piece may be to be searched, and how much of a longer one is encoded at a time.
struct MergerSizes {
  std::size_t searched_max = 128;
  std::size_t window = 32u << 10;
  std::size_t margin = 1u << 10; // at the window's end; at least the longest token is added
};

// What one thread needs to encode pieces. The table outlives it.
class Merger {
public:
  explicit Merger(const RankTable& ranks, MergerSizes sizes = {});

  // How many tokens the piece has; they are appended to `out`, if it is not nullptr. A piece that
  // is a token is that one, even if no joints lead to it.
  std::size_t encode(std::string_view piece, std::vector<Rank>* out) {
    return encode(piece, Out{out, nullptr});
  }
  // … where in the piece each of them ends.
  void encode_ends(std::string_view piece, std::vector<std::uint32_t>& ends) {
    encode(piece, Out{nullptr, &ends});
  }

private:
  // Where the tokens of a text begin, and where the last one ends.
  using Borders = std::vector<std::uint32_t>;
  // What is wanted of them.
  struct Out {
    std::vector<Rank>* ranks = nullptr;
    Borders* ends = nullptr;
  };
  // What is known to be right up to a seam, if the two tokens that meet there fit.
  struct Seam {
    std::size_t at = 0, last_token = 0; // in the piece: the seam; where the token before it begins
    std::size_t tokens = 0;             // before it
  };

  // By the definition; both give borders of the whole text, of at least a byte.
  void search(std::string_view text, Borders& borders);
  void merge_by_heap(std::string_view text, Borders& borders);
  void find_borders(std::string_view text, Borders& borders);

  std::size_t encode(std::string_view piece, Out out);
  std::size_t encode_by_windows(std::string_view piece, Out out);
  std::size_t kept_of_window(std::size_t window_bytes) const; // tokens
  bool fits(std::string_view piece, const Seam& seam, std::size_t next_token_end);

  Rank joint_rank(std::string_view text, std::size_t from, std::size_t to) const;
  void offer(std::string_view text, std::uint32_t at);
  // The first `tokens` of a text that begins there in the piece.
  void append(std::string_view text, std::size_t begin, std::size_t tokens, Out out) const;

  const RankTable& ranks_;
  MergerSizes sizes_;
  Borders borders_, borders_of_two_;
  std::vector<Rank> joint_ranks_;   // of the token that begins here and the next one
  Borders next_, prev_;             // where the tokens beside the one that begins here begin
  std::vector<std::uint64_t> heap_; // rank << 32 | place, the lowest first; some are out of date
};

} // namespace gristmill::bpe
