#include "protocol/openai/chunk/chunks.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/chunk/seams.hpp"
#include "protocol/openai/tokens/bpe/tokenizer.hpp"

#include <algorithm>
#include <deque>

namespace gristmill::openai {
namespace {

// What lies between two seams is known by the difference of their tokens. Of a tokenizer that is
// right but for what changes where a text is cut: a word loses the blank before it, a token that
// reached across is two. So the chunk that was found is counted, and made smaller if it has to be.
// Invariant: of the seams ahead the first one is where the chunk begins that is being made, and the
// text up to the next one fits into it.
class ChunkMaker {
public:
  ChunkMaker(std::string_view text, ChunkSize size, const bpe::Tokenizer* tokenizer)
      : tokens_max_{Thousandths{std::max(size.tokens, limits::chunk_tokens_min)} * 1'000},
        overlap_max_{std::min<Thousandths>(Thousandths{size.overlap} * 1'000, tokens_max_ / 2 - 1)},
        text_{text}, tokenizer_{tokenizer}, seams_{text, tokens_max_, tokenizer} {}

  Chunk next();
  bool at_end() const { return seams_.at_end() && ahead_.size() == fresh_ + 1; }

private:
  using Place = std::size_t; // in ahead_

  void read_ahead();
  Place fullest_end(Thousandths most) const;
  Place best_end(Place fullest) const;
  Place fitting_end() const;
  Place next_begin(Place end) const;
  Place fitting_begin(Place begin, Place end) const;
  // Whether nothing but one chunk, with its overlap, stands behind this end.
  bool is_last_but_one(Place end) const;
  Thousandths between(Place begin, Place end) const {
    return tokens_between(ahead_[begin], ahead_[end]);
  }
  // As it will be asked for.
  Thousandths counted(Place begin, Place end) const {
    const std::size_t from = ahead_[begin].at;
    return tokenizer_->count(text_.substr(from, ahead_[end].at - from)) * 1'000;
  }

  Thousandths tokens_max_, overlap_max_;
  std::string_view text_;
  const bpe::Tokenizer* tokenizer_; // nullptr: the differences are all that there is
  SeamReader seams_;
  std::deque<Seam> ahead_{Seam{}};
  Place fresh_ = 0; // where the chunk before ended
};

// A quarter more than a chunk may have, to see whether so little is left that the last two chunks
// had better share it.
void ChunkMaker::read_ahead() {
  while (between(0, ahead_.size() - 1) <= tokens_max_ + tokens_max_ / 4) {
    const auto seam = seams_.next();
    if (!seam) return;
    ahead_.push_back(*seam);
  }
}

ChunkMaker::Place ChunkMaker::fullest_end(Thousandths most) const {
  Place end = ahead_.size() - 1;
  while (end > fresh_ + 1 && between(0, end) > most) --end;
  return end;
}

bool ChunkMaker::is_last_but_one(Place end) const {
  return seams_.at_end() && between(end, ahead_.size() - 1) + overlap_max_ <= tokens_max_;
}

ChunkMaker::Place ChunkMaker::best_end(Place fullest) const {
  if (seams_.at_end() && fullest == ahead_.size() - 1) return fullest;
  const Thousandths half = (ahead_[fresh_].before + ahead_[fullest].before) / 2;
  Place best = fullest;
  for (Place end = fullest - 1; end > fresh_ && ahead_[end].before >= half; --end) {
    // With a blank at its end, less text may have more tokens.
    if (between(0, end) > tokens_max_) continue;
    const Between here = ahead_[end].between, found = ahead_[best].between;
    if (here > found || (here == found && is_last_but_one(end))) best = end;
  }
  return best;
}

// One that is too large becomes smaller by as much as it is too large, or by more: how many tokens
// a text is cut into may have nothing to do with how many the whole has of it.
ChunkMaker::Place ChunkMaker::fitting_end() const {
  Place fullest = fullest_end(tokens_max_);
  for (;;) {
    const Place end = best_end(fullest);
    if (tokenizer_ == nullptr || end == fresh_ + 1) return end;
    const Thousandths tokens = counted(0, end);
    if (tokens <= tokens_max_) return end;
    fullest = std::min(fullest_end(between(0, end) * tokens_max_ / tokens), end - 1);
  }
}

// The first sentence of as much as may be repeated, else the first word of it, else characters; and
// only so much that the next chunk has room for something new.
ChunkMaker::Place ChunkMaker::next_begin(Place end) const {
  Place sentence = end, word = end, any = end;
  for (Place begin = end - 1; begin > 0; --begin) {
    if (between(begin, end) > overlap_max_ || between(begin, end + 1) > tokens_max_) break;
    any = begin;
    if (ahead_[begin].between >= Between::words) word = begin;
    if (ahead_[begin].between >= Between::sentences) sentence = begin;
  }
  return sentence < end ? sentence : word < end ? word : any;
}

// Of what is repeated too much, half of it is left out, and half of that.
ChunkMaker::Place ChunkMaker::fitting_begin(Place begin, Place end) const {
  if (tokenizer_ == nullptr) return begin;
  while (begin < end &&
         (counted(begin, end) > overlap_max_ || counted(begin, end + 1) > tokens_max_))
    begin = end - (end - begin) / 2;
  return begin;
}

Chunk ChunkMaker::next() {
  read_ahead();
  const Place end = fitting_end();
  const std::uint32_t from = ahead_.front().at, to = ahead_[end].at;
  const bool last = to == text_.size();
  const Place begin = last ? end : fitting_begin(next_begin(end), end);
  ahead_.erase(ahead_.begin(), ahead_.begin() + static_cast<std::ptrdiff_t>(begin));
  fresh_ = end - begin;
  return {from, to, gap_at_end(text_.substr(from, to - from))};
}

} // namespace

std::string_view text_of(Gap gap) {
  switch (gap) {
  case Gap::none: return "";
  case Gap::space: return " ";
  case Gap::line: return "\n";
  case Gap::paragraph: return "\n\n";
  }
  return "";
}

Gap gap_at_end(std::string_view text) {
  Gap gap = Gap::none;
  for (; !text.empty() && is_white(text.back()); text.remove_suffix(1)) {
    if (text.back() != '\n')
      gap = std::max(gap, Gap::space);
    else if (gap == Gap::line)
      return Gap::paragraph;
    else
      gap = Gap::line;
  }
  return gap;
}

Chunks chunks_of(std::string_view text, ChunkSize size, const bpe::Tokenizer* tokenizer) {
  if (text.empty()) return {Chunk{}};
  Chunks chunks;
  ChunkMaker maker{text, size, tokenizer};
  while (!maker.at_end()) chunks.push_back(maker.next());
  return chunks;
}

} // namespace gristmill::openai
