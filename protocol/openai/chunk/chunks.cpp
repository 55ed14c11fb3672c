#include "protocol/openai/chunk/chunks.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/chunk/seams.hpp"

#include <algorithm>
#include <deque>

namespace gristmill::openai {
namespace {

// Invariant: of the seams ahead the first one is where the chunk begins that is being made, and the
// text up to the next one fits into it.
class ChunkMaker {
public:
  ChunkMaker(std::string_view text, ChunkSize size)
      : tokens_max_{Thousandths{std::max(size.tokens, limits::chunk_tokens_min)} * 1'000},
        overlap_max_{std::min<Thousandths>(Thousandths{size.overlap} * 1'000, tokens_max_ / 2 - 1)},
        text_{text}, seams_{text, tokens_max_} {}

  Chunk next();
  bool at_end() const { return seams_.at_end() && ahead_.size() == fresh_ + 1; }

private:
  using Place = std::size_t; // in ahead_

  void read_ahead();
  Place fullest_end() const;
  Place best_end(Place fullest) const;
  Place next_begin(Place end) const;
  // Whether nothing but one chunk, with its overlap, stands behind this end.
  bool is_last_but_one(Place end) const;
  Thousandths between(Place begin, Place end) const {
    return tokens_between(ahead_[begin], ahead_[end]);
  }

  Thousandths tokens_max_, overlap_max_;
  std::string_view text_;
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

ChunkMaker::Place ChunkMaker::fullest_end() const {
  Place end = ahead_.size() - 1;
  while (end > fresh_ + 1 && between(0, end) > tokens_max_) --end;
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

Chunk ChunkMaker::next() {
  read_ahead();
  const Place end = best_end(fullest_end());
  const std::uint32_t from = ahead_.front().at, to = ahead_[end].at;
  const bool last = to == text_.size();
  const Place begin = last ? end : next_begin(end);
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

Chunks chunks_of(std::string_view text, ChunkSize size) {
  if (text.empty()) return {Chunk{}};
  Chunks chunks;
  ChunkMaker maker{text, size};
  while (!maker.at_end()) chunks.push_back(maker.next());
  return chunks;
}

} // namespace gristmill::openai
