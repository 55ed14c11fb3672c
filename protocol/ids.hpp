// Strong identifiers. Two ids of different kinds never compare or convert by accident.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gristmill {

template <class Tag, class Rep = std::uint64_t> struct Id {
  Rep value = 0;
  constexpr auto operator<=>(const Id&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
};

using JobId = Id<struct JobTag, std::uint32_t>;           // 1, 2, … in the order of creation
using EndpointId = Id<struct EndpointTag, std::uint32_t>; // unique in one coordinator epoch
using Epoch = Id<struct EpochTag, std::uint32_t>; // a coordinator's life; rises with each start
using SessionId = Id<struct SessionTag>;          // one Hello accepted: epoch << 32 | n
using Nonce = Id<struct NonceTag>;                // a worker's process, or one of its Needs

// One planned HTTP request. Unique among all that a worker may still know: the epoch is that of the
// coordinator's life that planned it, and of the job the low bits are enough.
struct CallId {
  std::uint64_t value = 0; // epoch (12 bits) | job (20 bits) | n (32 bits)

  static constexpr CallId of(Epoch epoch, JobId job, std::uint32_t n) {
    return {std::uint64_t{epoch.value & 0xfff} << 52 | std::uint64_t{job.value & 0xfffff} << 32 |
            n};
  }
  constexpr std::uint32_t epoch() const { return static_cast<std::uint32_t>(value >> 52); }
  constexpr std::uint32_t n() const { return static_cast<std::uint32_t>(value); }
  constexpr auto operator<=>(const CallId&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
};

// One try of a part, and the permit for it: which coordinator life issued it, from which budget
// block, and its number there. Never repeats, because a block is durable before it is drawn from.
struct AttemptId {
  std::uint64_t value = 0; // epoch (16 bits) | block (28 bits) | n (20 bits)

  static constexpr std::uint64_t epoch_bits = 16, block_bits = 28, n_bits = 20;
  static constexpr std::uint64_t epoch_max = (std::uint64_t{1} << epoch_bits) - 1;
  static constexpr std::uint64_t block_max = (std::uint64_t{1} << block_bits) - 1;
  static constexpr std::uint64_t n_max = (std::uint64_t{1} << n_bits) - 1;

  // Whoever gives numbers stops before one does not fit: two attempts would have one id.
  static constexpr AttemptId of(Epoch epoch, std::uint64_t block, std::uint64_t n) {
    if (epoch.value > epoch_max || block > block_max || n > n_max) does_not_fit(epoch, block, n);
    return {(std::uint64_t{epoch.value} << (block_bits + n_bits)) | (block << n_bits) | n};
  }
  constexpr std::uint64_t epoch() const { return value >> (block_bits + n_bits); }
  constexpr std::uint64_t block() const { return (value >> n_bits) & block_max; }
  constexpr std::uint64_t n() const { return value & n_max; }
  constexpr auto operator<=>(const AttemptId&) const = default;
  constexpr explicit operator bool() const { return value != 0; }

private:
  [[noreturn]] static void does_not_fit(Epoch epoch, std::uint64_t block, std::uint64_t n);
};

// What one attempt answers: an item of a job, or a piece of it (a chunk, the item at one model).
struct PartId {
  JobId job;
  std::uint64_t item = 0; // ordinal in the input, from 0
  std::uint32_t part = 0; // 0 when the item is not divided
  constexpr auto operator<=>(const PartId&) const = default;
};
// Of parts that are of one job; none has none.
inline JobId job_of(const std::vector<PartId>& parts) {
  return parts.empty() ? JobId{} : parts[0].job;
}

std::string to_string(AttemptId id); // "EPOCH-BLOCK-N"
std::string to_string(JobId id);     // "job-7"
std::string to_string(SessionId id); // "EPOCH-N"
bool parse(const std::string& text, JobId& id);

} // namespace gristmill

template <class Tag, class Rep> struct std::hash<gristmill::Id<Tag, Rep>> {
  std::size_t operator()(const gristmill::Id<Tag, Rep>& id) const noexcept {
    return static_cast<std::size_t>(id.value * 0x9e3779b97f4a7c15u);
  }
};
template <> struct std::hash<gristmill::CallId> {
  std::size_t operator()(const gristmill::CallId& id) const noexcept {
    return static_cast<std::size_t>(id.value * 0x9e3779b97f4a7c15u);
  }
};
template <> struct std::hash<gristmill::PartId> {
  std::size_t operator()(const gristmill::PartId& id) const noexcept {
    return static_cast<std::size_t>((id.item << 8 ^ id.part) * 0x9e3779b97f4a7c15u) ^ id.job.value;
  }
};
template <> struct std::hash<gristmill::AttemptId> {
  std::size_t operator()(const gristmill::AttemptId& id) const noexcept {
    return static_cast<std::size_t>(id.value * 0x9e3779b97f4a7c15u);
  }
};
