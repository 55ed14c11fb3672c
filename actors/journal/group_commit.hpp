// GROUP COMMIT: what has gathered while the last group was written becomes the next group, so the
// disk sets the clock and a group is as large as the load makes it. Each append has a position, and
// what waits for it is released in the order of positions.
//   hears  Append   from every room: records, and what may be told when they are durable
//          Durable  from the store: everything up to a position would survive a power cut
//   tells  the store one group at a time; then releases what waited
// Outcomes alone, for which no call waits, gather for a moment even while the disk is free, if it
// was so asked for: a group costs as much for one of them as for many (docs/decisions/0037).
// Invariant: nothing is released before its position and all before it are durable.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/records.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

namespace gristmill::journal {

template <class Release> class GroupCommit {
public:
  GroupCommit(Position last, Duration gather) : last_{last}, gather_{gather} {}

  void append(Group part, std::vector<Release> release) {
    const std::size_t bytes = bytes_of(part);
    if (gathering_.empty() ||
        (gathering_.back().bytes > 0 && gathering_.back().bytes + bytes > group_bytes_max))
      gathering_.emplace_back();
    Gathering& g = gathering_.back();
    g.bytes += bytes;
    g.urgent |= is_urgent(part);
    g.group.upto = ++last_;
    std::apply(
        [&part](auto&... into) {
          std::apply([&into...](auto&... from) { (move_to(into, from), ...); },
                     Group::lists_of(part));
        },
        Group::lists_of(g.group));
    move_to(g.release, release);
  }

  // The next group to write, when the store is free.
  std::optional<Group> next(Time now) {
    if (now < next_at()) return std::nullopt;
    began_at_ = now;
    writing_.emplace(std::move(gathering_.front().release));
    Group group = std::move(gathering_.front().group);
    gathering_.pop_front();
    return group;
  }

  Time next_at() const {
    if (writing_ || gathering_.empty()) return never;
    const bool at_once = gathering_.front().urgent || gathering_.size() > 1;
    return at_once ? Time::min() : began_at_ + gather_;
  }

  // The group is durable: what waited for it.
  std::vector<Release> durable() {
    std::vector<Release> release = writing_ ? std::move(*writing_) : std::vector<Release>{};
    writing_.reset();
    return release;
  }

  bool idle() const { return !writing_ && gathering_.empty(); }
  std::size_t gathering() const { return gathering_.size(); }

private:
  struct Gathering {
    Group group;
    std::vector<Release> release;
    std::size_t bytes = 0;
    bool urgent = false;
  };
  static constexpr std::size_t group_bytes_max = 8u << 20;

  // Blocks, marks and sessions stand in the way of calls, parts of what joins them, and an answer
  // with a key of those that ask the same.
  static bool is_urgent(const Group& part) {
    const std::size_t all =
        std::apply([](const auto&... list) { return (list.size() + ...); }, Group::lists_of(part));
    const std::size_t of_outcomes =
        part.lines.size() + part.attempts.size() + part.notes.size() + part.errors.size();
    const auto has_key = [](const ResultLine& line) { return line.key != RequestKey{}; };
    return all > of_outcomes || std::any_of(part.lines.begin(), part.lines.end(), has_key);
  }

  static std::size_t bytes_of(const Group& group) {
    std::size_t bytes = 0;
    for (const ResultLine& line : group.lines) bytes += line.line.size();
    for (const PartLine& part : group.parts) bytes += part.line.size();
    return bytes;
  }
  template <class T> static void move_to(std::vector<T>& into, std::vector<T>& from) {
    if (into.empty()) {
      into = std::move(from);
    } else {
      into.insert(into.end(), std::make_move_iterator(from.begin()),
                  std::make_move_iterator(from.end()));
    }
  }

  Position last_;
  const Duration gather_;
  Time began_at_ = Time::min();
  std::deque<Gathering> gathering_;
  std::optional<std::vector<Release>> writing_;
};

} // namespace gristmill::journal
