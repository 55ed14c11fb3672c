// Repeated ids: every one is found, no other is, and memory does not follow the ids.
#include "actors/intake/intake.hpp"
#include "actors/intake/seen_ids.hpp"
#include "coordinator/disk/scratch_file.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace seen_ids_test {

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
  CHECK(seen.filter_bytes() == 0);
  CHECK(seen.add("item-0", 1).value() == 0);
}

TEST_CASE("of two lines with one id the later is an error line under its place") {
  MemorySource source;
  source.names = {"a.jsonl", "b.csv", "c.jsonl"};
  source.inputs = {
      "{\"id\":\"x\"}\n{\"id\":\"y\"}\n{\"id\":\"x\"}\n{\"id\":7}\n{\"id\":\"7\"}\n{}\n{}\n",
      "id,t\nx,1\nx,2\n", "{\"custom_id\":\"x\",\"method\":\"GET\"}\n{\"custom_id\":\"x\"}\n"};
  JobSpec spec;
  spec.shape.prompt = "Go on."; // names no field, so that any object is an item
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

TEST_CASE("an id of many costs no more pages than one of few") {
  // 100 million are the goal; the filter does not fill up before.
  static_assert(SeenIds::ids_max >= 100'000'000);
  auto owned = std::make_unique<MemoryPages>();
  MemoryPages& pages = *owned;
  SeenIds seen{std::move(owned)};
  std::uint64_t count = 0;
  const auto reads_of = [&](std::uint64_t ids) {
    const std::uint64_t growing = pages.reads; // its reading of all pages is not an id's
    std::uint64_t own = 0;
    for (const std::uint64_t end = count + ids; count < end; ++count) {
      const std::size_t filter = seen.filter_bytes();
      const std::uint64_t before = pages.reads;
      if (*seen.add(fmt::format("item-{}", count), count + 1) != 0) FAIL("item " << count);
      if (seen.filter_bytes() == filter) own += pages.reads - before;
    }
    CHECK(pages.reads >= growing);
    return static_cast<double>(own) / static_cast<double>(ids);
  };
  reads_of(1'000'000);
  const double few = reads_of(200'000);
  reads_of(2'600'000);
  const double many = reads_of(200'000);
  CAPTURE(few, many);
  CHECK(few < 0.05);
  CHECK(many < 0.05);
}

TEST_CASE("an id that could not be kept is new when it comes again") {
  auto owned = std::make_unique<MemoryPages>();
  MemoryPages& pages = *owned;
  SeenIds seen{std::move(owned)};
  pages.full = true;
  std::uint64_t refused = 0;
  const std::uint64_t count = SeenIds::buckets * 400; // so that pages become full
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string id = fmt::format("item-{}", i);
    auto first = seen.add(id, i + 1);
    if (!first) {
      CHECK(first.error().code == ErrorCode::unavailable);
      ++refused;
      pages.full = false;
      first = seen.add(id, i + 1);
      pages.full = refused < 10;
    }
    if (!first || *first != 0) FAIL("item " << i << " is new");
  }
  CHECK(refused == 10);
  CHECK(seen.add("item-7", count + 1).value() == 8);
}

TEST_CASE("what a unique id costs", "[.measure]") {
  for (const std::uint64_t count : {5'000'000u, 30'000'000u, 70'000'000u}) {
    auto pages = std::make_unique<coordinator::DiskScratchPages>("/tmp");
    SeenIds seen{std::move(pages)};
    std::string id;
    auto last = std::chrono::steady_clock::now();
    const std::uint64_t measured = 1'000'000; // the last ones
    for (std::uint64_t i = 0; i < count; ++i) {
      if (i == count - measured) last = std::chrono::steady_clock::now();
      id.clear();
      fmt::format_to(std::back_inserter(id), "item-{}", i);
      if (*seen.add(id, i + 1) != 0) FAIL("item " << i << " is new");
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - last;
    WARN(fmt::format("{} ids: {:.0f} ns for one more, {} lookups, filter of {} MiB", count,
                     took.count() / measured, seen.lookups(), seen.filter_bytes() >> 20));
  }
}

} // namespace seen_ids_test
