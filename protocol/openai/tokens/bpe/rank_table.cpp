#include "protocol/openai/tokens/bpe/rank_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace gristmill::bpe {
namespace {

constexpr std::size_t head_bytes = 8;

// Both halves of a text of four to eight bytes lie over each other: no loop, no call.
std::uint64_t head_of(std::string_view bytes) {
  std::uint64_t head = 0;
  if (bytes.size() >= head_bytes) {
    std::memcpy(&head, bytes.data(), head_bytes);
  } else if (bytes.size() >= 4 && std::endian::native == std::endian::little) {
    std::uint32_t first = 0, last = 0;
    std::memcpy(&first, bytes.data(), 4);
    std::memcpy(&last, bytes.data() + bytes.size() - 4, 4);
    head = first | std::uint64_t{last} << 8 * (bytes.size() - 4);
  } else {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      head |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
  }
  return head;
}

std::uint64_t mixed(std::uint64_t value) {
  value *= 0x9e37'79b9'7f4a'7c15;
  return value ^ value >> 32;
}

std::uint64_t hash_of(std::uint64_t head, std::string_view bytes) {
  std::uint64_t hash = mixed(head + bytes.size());
  for (std::size_t at = head_bytes; at < bytes.size(); at += head_bytes)
    hash = mixed(hash ^ head_of(bytes.substr(at, head_bytes)));
  return mixed(hash);
}

} // namespace

RankTable::RankTable(std::size_t tokens_max)
    : slots_(std::bit_ceil(tokens_max + tokens_max / 2 + 1)), pairs_(256 * 256, no_rank) {}

bool RankTable::holds(const Slot& slot, std::uint64_t head, std::string_view bytes) const {
  if (slot.head != head) return false;
  if (bytes.size() <= head_bytes) return slot.place == bytes.size();
  // A place of a long token and a size of a short one are told apart by their offset.
  if (slot.place <= head_bytes) return false;
  const Long& found = longs_[slot.place - head_bytes - 1];
  return std::string_view{long_bytes_}.substr(found.from, found.bytes) == bytes;
}

std::size_t RankTable::find(std::string_view bytes) const {
  const std::uint64_t head = head_of(bytes);
  std::size_t at = hash_of(head, bytes) & (slots_.size() - 1);
  while (slots_[at].rank != no_rank && !holds(slots_[at], head, bytes))
    at = (at + 1) & (slots_.size() - 1);
  return at;
}

bool RankTable::add(std::string_view bytes, Rank rank) {
  Slot& slot = slots_[find(bytes)];
  if (slot.rank != no_rank) return false;
  slot = {head_of(bytes), rank, static_cast<std::uint32_t>(bytes.size())};
  if (bytes.size() > head_bytes) {
    slot.place = static_cast<std::uint32_t>(longs_.size() + head_bytes + 1);
    longs_.push_back({long_bytes_.size(), bytes.size()});
    long_bytes_ += bytes;
  }
  if (bytes.size() == 2)
    pairs_[static_cast<unsigned char>(bytes[0]) * 256u + static_cast<unsigned char>(bytes[1])] =
        rank;
  longest_ = std::max(longest_, bytes.size());
  ++size_;
  return true;
}

Rank RankTable::rank_of(std::string_view bytes) const {
  return bytes.size() > longest_ ? no_rank : slots_[find(bytes)].rank;
}

std::size_t RankTable::memory() const {
  return slots_.capacity() * sizeof(Slot) + pairs_.capacity() * sizeof(Rank) +
         longs_.capacity() * sizeof(Long) + long_bytes_.capacity();
}

} // namespace gristmill::bpe
