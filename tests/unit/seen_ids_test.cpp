// Repeated ids: every one is found, no other is, and memory does not follow the ids.
#include "actors/intake/intake.hpp"
#include "actors/intake/seen_ids.hpp"

#include "tests/unit/supervisor_harness.hpp"

using namespace gristmill;
using namespace gristmill::intake;
using namespace gristmill::supervisor_test;

TEST_CASE("an id is new once, and then has the line in which it came first") {
  SeenIds seen{std::make_unique<MemoryPages>()};
  CHECK(seen.add("a", 3).value() == 0);
  CHECK(seen.add("b", 4).value() == 0);
  CHECK(seen.add("a", 5).value() == 3);
  CHECK(seen.add("a", 6).value() == 3);
  CHECK(seen.add("", 7).value() == 0);
  CHECK(seen.add("", 8).value() == 7);
  REQUIRE(seen.clear());
  CHECK(seen.add("a", 1).value() == 0);
}

TEST_CASE("a few ids take no table, and are found before and after they get one") {
  SeenIds seen{std::make_unique<MemoryPages>()};
  for (std::uint64_t count = 1; count <= 200; ++count) {
    REQUIRE(seen.add(fmt::format("item-{}", count), count).value() == 0);
    CHECK((seen.filter_bytes() > 0) == (count > 128));
    for (std::uint64_t i = 1; i <= count; ++i) {
      REQUIRE(seen.find(fmt::format("item-{}", i)).value() == i);
      REQUIRE(seen.add(fmt::format("item-{}", i), 999).value() == i);
    }
    REQUIRE(seen.find("another").value() == 0);
  }
  SeenIds few{std::make_unique<MemoryPages>()};
  REQUIRE(few.add("a", 1).value() == 0);
  REQUIRE(few.clear());
  CHECK(few.find("a").value() == 0);
}

TEST_CASE("ids are found in memory and on disk, while the filter grows") {
  constexpr std::uint64_t count = 1'500'000;
  SeenIds seen{std::make_unique<MemoryPages>()};
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto first = seen.add(fmt::format("item-{}", i), i + 1);
    if (!first || *first != 0) FAIL("item " << i << " is new");
  }
  CHECK(seen.lookups() < count / 100);
  CHECK(seen.filter_bytes() <= 4 * count * 16 / 8);
  for (std::uint64_t i = 0; i < count; i += 997)
    REQUIRE(seen.add(fmt::format("item-{}", i), count + 1).value() == i + 1);
  CHECK(seen.filter_bytes() <= SeenIds::blocks_max * 64);
  REQUIRE(seen.clear());
  CHECK(seen.filter_bytes() == SeenIds::blocks_min * 64);
  CHECK(seen.add("item-0", 1).value() == 0);
}

TEST_CASE("of two lines with one id the later is an error line under its place") {
  MemorySource source;
  source.names = {"a.jsonl", "b.csv", "c.jsonl"};
  source.inputs = {
      "{\"id\":\"x\"}\n{\"id\":\"y\"}\n{\"id\":\"x\"}\n{\"id\":7}\n{\"id\":\"7\"}\n{}\n{}\n",
      "id,t\nx,1\nx,2\n", "{\"custom_id\":\"x\",\"method\":\"GET\"}\n{\"custom_id\":\"x\"}\n"};
  JobSpec spec;
  spec.prompt = "Go on."; // names no field, so that any object is an item
  Intake intake{spec, source, {}};
  std::vector<Item> items;
  std::vector<InputPosition> before;
  for (;;) {
    before.push_back(intake.position());
    auto item = intake.next();
    REQUIRE(item);
    if (!*item) break;
    items.push_back(**item);
  }
  std::vector<std::string> ids;
  for (const Item& item : items) ids.push_back(item.id);
  REQUIRE(ids == std::vector<std::string>{"x", "y", "a.jsonl:3", "7", "a.jsonl:5", "a.jsonl:6",
                                          "a.jsonl:7", "x", "b.csv:3", "x", "c.jsonl:2"});
  CHECK(items[2].bad == "expected id to be unique in its file, got \"x\" again, which is line 1's");
  CHECK(items[8].bad == "expected id to be unique in its file, got \"x\" again, which is line 2's");
  CHECK(items[10].bad ==
        "expected custom_id to be unique in its file, got \"x\" again, which is line 1's");
  // After a restart at any place, in slices or at once.
  for (std::size_t i = 0; i < items.size(); ++i) {
    Intake later{spec, source, before[i]};
    if (i % 2 == 0)
      while (!later.catch_up(1).value()) {
      }
    for (std::size_t j = i; j < items.size(); ++j) {
      const auto item = later.next();
      REQUIRE(item);
      REQUIRE((*item)->id == items[j].id);
      REQUIRE((*item)->bad == items[j].bad);
      REQUIRE((*item)->ordinal == j);
    }
  }
  Intake as_they_are{spec, source, {}, Intake::Ids::as_they_are};
  for (std::size_t j = 0; j < 3; ++j) REQUIRE(as_they_are.next().value()->bad.empty());
}

TEST_CASE("what a unique id costs", "[.measure]") {
  constexpr std::uint64_t count = 10'000'000;
  SeenIds seen{std::make_unique<MemoryPages>()};
  std::string id;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < count; ++i) {
    id.clear();
    fmt::format_to(std::back_inserter(id), "item-{}", i);
    if (*seen.add(id, i + 1) != 0) FAIL("item " << i << " is new");
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  WARN(fmt::format("{:.0f} ns an id, {} lookups, filter of {} bytes", took.count() / count,
                   seen.lookups(), seen.filter_bytes()));
}
