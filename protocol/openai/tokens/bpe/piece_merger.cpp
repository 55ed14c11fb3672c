#include "protocol/openai/tokens/bpe/piece_merger.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

namespace gristmill::bpe {
namespace {

unsigned char byte_of(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

std::uint64_t heap_entry(Rank rank, std::uint32_t at) {
  return std::uint64_t{rank} << 32 | at;
}

} // namespace

Merger::Merger(const RankTable& ranks, MergerSizes sizes) : ranks_{ranks}, sizes_{sizes} {
  sizes_.margin += ranks_.longest();
  sizes_.window = std::max(sizes_.window, 4 * sizes_.margin);
}

std::size_t Merger::encode(std::string_view piece, Out out) {
  if (piece.empty()) return 0;
  if (const Rank whole = ranks_.rank_of(piece); whole != no_rank) {
    if (out.ranks != nullptr) out.ranks->push_back(whole);
    if (out.ends != nullptr) out.ends->push_back(static_cast<std::uint32_t>(piece.size()));
    return 1;
  }
  if (piece.size() > sizes_.searched_max) return encode_by_windows(piece, out);
  search(piece, borders_);
  append(piece, 0, borders_.size() - 1, out);
  return borders_.size() - 1;
}

Rank Merger::joint_rank(std::string_view text, std::size_t from, std::size_t to) const {
  return ranks_.rank_of(text.substr(from, to - from));
}

void Merger::search(std::string_view text, Borders& borders) {
  borders.resize(text.size() + 1);
  std::iota(borders.begin(), borders.end(), 0u);
  joint_ranks_.resize(text.size());
  for (std::size_t i = 0; i + 1 < text.size(); ++i)
    joint_ranks_[i] = ranks_.rank_of_pair(byte_of(text, i), byte_of(text, i + 1));
  joint_ranks_.back() = no_rank; // nothing follows the last token
  for (;;) {
    const auto lowest = std::ranges::min_element(joint_ranks_);
    if (*lowest == no_rank) return;
    const auto i = static_cast<std::size_t>(lowest - joint_ranks_.begin());
    joint_ranks_.erase(lowest + 1);
    borders.erase(borders.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    if (i + 2 < borders.size())
      joint_ranks_[i] = joint_rank(text, borders[i], borders[i + 2]);
    else
      joint_ranks_[i] = no_rank;
    if (i > 0) joint_ranks_[i - 1] = joint_rank(text, borders[i - 1], borders[i + 1]);
  }
}

// What the token that begins at `at` makes with the next one.
void Merger::offer(std::string_view text, std::uint32_t at) {
  const std::uint32_t right = next_[at];
  joint_ranks_[at] = right < text.size() ? joint_rank(text, at, next_[right]) : no_rank;
  if (joint_ranks_[at] == no_rank) return;
  heap_.push_back(heap_entry(joint_ranks_[at], at));
  std::ranges::push_heap(heap_, std::greater{});
}

void Merger::merge_by_heap(std::string_view text, Borders& borders) {
  const auto size = static_cast<std::uint32_t>(text.size());
  next_.resize(size);
  prev_.resize(size);
  joint_ranks_.assign(size, no_rank);
  heap_.clear();
  for (std::uint32_t i = 0; i < size; ++i) {
    next_[i] = i + 1;
    prev_[i] = i - 1;
    if (i + 1 < size) joint_ranks_[i] = ranks_.rank_of_pair(byte_of(text, i), byte_of(text, i + 1));
    if (joint_ranks_[i] != no_rank) heap_.push_back(heap_entry(joint_ranks_[i], i));
  }
  std::ranges::make_heap(heap_, std::greater{});
  while (!heap_.empty()) {
    std::ranges::pop_heap(heap_, std::greater{});
    const std::uint64_t entry = heap_.back();
    heap_.pop_back();
    const auto at = static_cast<std::uint32_t>(entry);
    if (joint_ranks_[at] != entry >> 32) continue; // a neighbour was joined with another one
    const std::uint32_t right = next_[at];
    next_[at] = next_[right];
    if (next_[at] < size) prev_[next_[at]] = at;
    joint_ranks_[right] = no_rank;
    offer(text, at);
    if (at > 0) offer(text, prev_[at]);
  }
  borders.clear();
  for (std::uint32_t at = 0; at < size; at = next_[at]) borders.push_back(at);
  borders.push_back(size);
}

void Merger::find_borders(std::string_view text, Borders& borders) {
  if (text.size() > sizes_.searched_max)
    merge_by_heap(text, borders);
  else
    search(text, borders);
}

bool Merger::fits(std::string_view piece, const Seam& seam, std::size_t next_token_end) {
  find_borders(piece.substr(seam.last_token, next_token_end - seam.last_token), borders_of_two_);
  // Then neither of the two reaches across, and each is what it is by itself.
  return borders_of_two_[1] == seam.at - seam.last_token;
}

// At least one, as a window is longer than its margin and a token.
std::size_t Merger::kept_of_window(std::size_t window_bytes) const {
  const auto beyond = std::ranges::upper_bound(borders_, window_bytes - sizes_.margin);
  return static_cast<std::size_t>(beyond - borders_.begin()) - 1;
}

std::size_t Merger::encode_by_windows(std::string_view piece, Out out) {
  const std::size_t ranks_before = out.ranks != nullptr ? out.ranks->size() : 0;
  const std::size_t ends_before = out.ends != nullptr ? out.ends->size() : 0;
  std::size_t window = sizes_.window;
  std::vector<Seam> seams(1); // the first one is the beginning
  for (;;) {
    const Seam seam = seams.back();
    const std::string_view text = piece.substr(seam.at, window);
    merge_by_heap(text, borders_);
    if (seam.at > 0 && !fits(piece, seam, seam.at + borders_[1])) {
      seams.pop_back();
      if (out.ranks != nullptr) out.ranks->resize(ranks_before + seams.back().tokens);
      if (out.ends != nullptr) out.ends->resize(ends_before + seams.back().tokens);
      window *= 2; // for good, so that a hostile piece costs twice as much as one without windows
      continue;
    }
    const bool last = seam.at + text.size() == piece.size();
    const std::size_t kept = last ? borders_.size() - 1 : kept_of_window(text.size());
    append(text, seam.at, kept, out);
    if (last) return seam.tokens + kept;
    seams.push_back({seam.at + borders_[kept], seam.at + borders_[kept - 1], seam.tokens + kept});
  }
}

void Merger::append(std::string_view text, std::size_t begin, std::size_t tokens, Out out) const {
  if (out.ranks != nullptr)
    for (std::size_t i = 0; i < tokens; ++i)
      out.ranks->push_back(joint_rank(text, borders_[i], borders_[i + 1]));
  if (out.ends != nullptr)
    for (std::size_t i = 0; i < tokens; ++i)
      out.ends->push_back(static_cast<std::uint32_t>(begin) + borders_[i + 1]);
}

} // namespace gristmill::bpe
