// How appends gather to groups, and when what waits for them is released.
#include "actors/journal/group_commit.hpp"

#include "actors/kit/random.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace group_commit_test {

using namespace gristmill;
using namespace gristmill::journal;

namespace {

using Commits = GroupCommit<int>;
constexpr Duration gather = std::chrono::milliseconds{10};
constexpr std::size_t mib = 1u << 20;

Group lines(std::size_t bytes, std::uint64_t item = 0) {
  Group group;
  group.lines.push_back({JobId{1}, item, OutcomeClass::ok, std::string(bytes, 'x')});
  return group;
}

// Long after whatever was before.
Time later() {
  static Time now{};
  return now += std::chrono::seconds{1};
}

} // namespace

TEST_CASE("without an append there is nothing to write and nothing to release") {
  Commits commits{7, gather};
  CHECK(commits.idle());
  CHECK_FALSE(commits.next(later()));
  CHECK(commits.durable().empty());
}

TEST_CASE("a group that holds one record of any kind is not empty, and comes out as it went in") {
  const auto each = [](Group& group, auto&& visit) {
    std::apply([&](auto&... list) { (visit(list), ...); }, Group::lists_of(group));
  };
  std::size_t kinds = 0;
  Group counted;
  each(counted, [&](auto&) { ++kinds; });
  for (std::size_t kind = 0; kind < kinds; ++kind) {
    Group part;
    std::size_t at = 0;
    each(part, [&](auto& list) { list.resize(at++ == kind ? 1 : 0); });
    CAPTURE(kind);
    CHECK_FALSE(part.empty());
    Commits commits{0, gather};
    commits.append(std::move(part), {});
    auto group = commits.next(later());
    REQUIRE(group);
    CHECK_FALSE(group->empty());
  }
  CHECK(counted.empty());
}

TEST_CASE("the first append is written alone, what comes meanwhile becomes one group") {
  Commits commits{41, gather};
  commits.append(lines(1, 0), {0});
  const auto first = commits.next(later());
  REQUIRE(first);
  CHECK(first->upto == 42);
  commits.append(lines(1, 1), {1, 2});
  commits.append(lines(1, 2), {});
  commits.append(lines(1, 3), {3});
  CHECK_FALSE(commits.next(later()));
  CHECK(commits.durable() == std::vector<int>{0});
  const auto second = commits.next(later());
  REQUIRE(second);
  CHECK(second->upto == 45);
  REQUIRE(second->lines.size() == 3);
  CHECK(second->lines[2].item == 3);
  CHECK_FALSE(commits.idle());
  CHECK(commits.durable() == std::vector<int>{1, 2, 3});
  CHECK(commits.idle());
}

TEST_CASE("outcomes alone gather for a hundredth of a second from one group to the next") {
  using std::chrono::milliseconds;
  Commits commits{0, gather};
  const Time start = later();
  commits.append(lines(1, 0), {0});
  CHECK(commits.next_at() <= start); // when all is quiet, at once
  REQUIRE(commits.next(start));
  commits.append(lines(1, 1), {1});
  CHECK(commits.next_at() == never); // the disk is busy
  commits.durable();
  CHECK(commits.next_at() == start + milliseconds{10});
  CHECK_FALSE(commits.next(start + milliseconds{10} - Duration{1}));
  SECTION("and then are one group") {
    commits.append(lines(1, 2), {2});
    const auto group = commits.next(start + milliseconds{10});
    REQUIRE(group);
    CHECK(group->lines.size() == 2);
  }
  SECTION("unless a call waits for the group") {
    Group block;
    block.blocks.push_back({1, "endpoint", 1, 1, Time{}, {}, {}});
    commits.append(std::move(block), {2});
    CHECK(commits.next(start));
  }
  SECTION("or one that asks the same as an outcome of it") {
    Group known = lines(1, 2);
    known.lines[0].key.bytes[0] = 1;
    commits.append(std::move(known), {2});
    CHECK(commits.next(start));
  }
  SECTION("or it is full") {
    commits.append(lines(8 * mib, 2), {2});
    CHECK(commits.next(start));
  }
}

TEST_CASE("where nothing is to gather, outcomes are written as soon as the disk is free") {
  Commits commits{0, Duration{}};
  const Time start = later();
  commits.append(lines(1, 0), {0});
  REQUIRE(commits.next(start));
  commits.append(lines(1, 1), {1});
  commits.durable();
  CHECK(commits.next_at() <= start);
  CHECK(commits.next(start));
}

TEST_CASE("every kind of record stays with its append and in its order") {
  Commits commits{0, gather};
  for (std::uint32_t i = 1; i <= 2; ++i) {
    Group part;
    part.lines.push_back({JobId{i}, i, OutcomeClass::ok, "line"});
    part.attempts.push_back({{JobId{i}, i, 0}, 1, 0});
    part.notes.emplace_back().job = JobId{i};
    part.blocks.push_back({i, "endpoint", 1, 1, Time{}, {}, {}});
    part.sessions.push_back({SessionId{i}, "w", Nonce{i}, true});
    part.jobs.push_back({JobId{i}, "{}", "", JobState::running, JobReason::none, "", 0});
    commits.append(std::move(part), {});
  }
  const auto group = commits.next(later());
  REQUIRE(group);
  const auto in_order = [](const auto& records, auto number) {
    return records.size() == 2 && number(records[0]) == 1 && number(records[1]) == 2;
  };
  CHECK(in_order(group->lines, [](const auto& r) { return r.item; }));
  CHECK(in_order(group->attempts, [](const auto& r) { return r.part.item; }));
  CHECK(in_order(group->notes, [](const auto& r) { return r.job.value; }));
  CHECK(in_order(group->blocks, [](const auto& r) { return r.block; }));
  CHECK(in_order(group->sessions, [](const auto& r) { return r.session.value; }));
  CHECK(in_order(group->jobs, [](const auto& r) { return r.job.value; }));
}

TEST_CASE("a group ends before the append that would make it too large") {
  const auto [first, second, groups] = GENERATE(table<std::size_t, std::size_t, int>({
      {4 * mib, 4 * mib - 1, 1},
      {4 * mib, 4 * mib, 1},
      {4 * mib, 4 * mib + 1, 2},
      {16 * mib, 1, 2},
      {0, 16 * mib, 1},
  }));
  CAPTURE(first, second);
  Commits commits{0, gather};
  commits.append(lines(first), {1});
  commits.append(lines(second), {2});
  int written = 0;
  while (commits.next(later())) {
    ++written;
    commits.durable();
  }
  CHECK(written == groups);
}

TEST_CASE("nothing is released before its position is durable, and everything in its order") {
  const auto seed = GENERATE(range(1u, 6u));
  CAPTURE(seed);
  Random random{seed};
  Commits commits{0, gather};
  Position appended = 0, durable = 0, writing = 0;
  int released = 0;
  while (released < 500) {
    if (appended < 500 && random.chance(0.6))
      commits.append(lines(random.chance(0.05) ? 3 * mib : random.below(100)),
                     {static_cast<int>(++appended)});
    if (random.chance(0.4)) {
      if (const auto group = commits.next(later())) {
        REQUIRE(writing == durable);
        REQUIRE(group->upto > durable);
        REQUIRE(group->lines.size() == group->upto - durable);
        writing = group->upto;
      }
    }
    if (writing > durable && random.chance(0.4)) {
      durable = writing;
      for (const int release : commits.durable()) REQUIRE(release == ++released);
      REQUIRE(static_cast<Position>(released) == durable);
    }
  }
  CHECK(commits.idle());
}

} // namespace group_commit_test
