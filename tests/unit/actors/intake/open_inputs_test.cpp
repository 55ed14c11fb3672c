// Inputs that are appended to an open job.
#include "actors/intake/intake.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <fmt/format.h>

namespace open_inputs_test {

using namespace gristmill;
using namespace gristmill::intake;
using namespace gristmill::supervisor_test;

namespace {

struct OpenSource : MemorySource {
  bool closed = false;
  bool is_closed() const override { return closed; }
};

std::string object(int n) {
  return fmt::format("{{\"id\":\"{}\",\"text\":\"of {}\"}}\n", n, n);
}

struct Desk {
  OpenSource source;
  JobSpec spec = spec_of(0);

  Desk() {
    spec.open = true;
    spec.shape.prompt = "{{text}}";
  }
  void append(std::string text) { source.inputs.push_back(std::move(text)); }
  // "1 2!": what can be read now, ! = bad.
  static std::string read(Intake& intake) {
    std::string all;
    for (;;) {
      const auto read = intake.read();
      if (!read) {
        CHECK(read.error().code == ErrorCode::not_yet);
        return all + "…";
      }
      if (read->at_end) return all;
      if (read->item)
        all += fmt::format("{}{} ", read->item->id, read->item->bad.empty() ? "" : "!");
    }
  }
};

} // namespace

TEST_CASE("an open job waits for more inputs, and ends when no more come") {
  Desk desk;
  Intake intake{desk.spec, desk.source, {}};
  CHECK(desk.read(intake) == "…");
  desk.append(object(1));
  desk.append("");
  desk.append(object(2) + object(3));
  CHECK(desk.read(intake) == "1 2 3 …");
  desk.append(object(4));
  desk.source.closed = true;
  CHECK(desk.read(intake) == "4 ");
}

TEST_CASE("ids are unique in all inputs of an open job, from wherever reading goes on") {
  Desk desk;
  desk.append(object(1) + object(2));
  desk.append(object(2) + object(3));
  desk.append(object(1) + object(4));
  desk.source.closed = true;
  Intake whole{desk.spec, desk.source, {}};
  std::vector<Item> all;
  while (auto item = whole.next().value()) all.push_back(std::move(*item));
  REQUIRE(all.size() == 6);
  for (std::size_t n = 0; n < all.size(); ++n) CHECK(all[n].bad.empty() == (n != 2 && n != 4));
  for (const Item& from : all) {
    Intake later{desk.spec,
                 desk.source,
                 {from.place.input, from.place.offset, from.place.line - 1, from.ordinal}};
    for (std::size_t n = from.ordinal; n < all.size(); ++n) {
      const auto item = later.next().value();
      REQUIRE(item);
      CHECK(item->bad == all[n].bad);
      CHECK(item->ordinal == n);
    }
    CHECK_FALSE(later.next().value());
  }
  SECTION("of another job they are unique in each") {
    desk.spec.open = false;
    Intake other{desk.spec, desk.source, {}};
    CHECK(desk.read(other) == "1 2 2 3 1 4 ");
  }
}

TEST_CASE("earlier inputs are read a slice at a time") {
  Desk desk;
  for (int n = 0; n < 3; ++n) desk.append(object(3 * n) + object(3 * n + 1) + object(3 * n + 2));
  Intake later{desk.spec, desk.source, {2, object(6).size(), 1, 7}};
  int slices = 1;
  for (; !later.catch_up(2).value(); ++slices) REQUIRE(slices < 20);
  CHECK(slices == 4);
  CHECK(desk.read(later) == "7 8 …");
}

} // namespace open_inputs_test
