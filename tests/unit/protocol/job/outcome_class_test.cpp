// The table of classes, and that what people read of it is what it says.
#include "protocol/job/outcome_class.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace outcome_class_test {

using namespace gristmill;

namespace {

struct Row {
  std::string meaning, again, counts;
};

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' ');
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The rows of the documents' table of classes, by class; one line may tell of several.
std::map<std::string, Row> documented() {
  std::ifstream file{GRISTMILL_SOURCE_DIR "/docs/operations/when-something-fails.md"};
  std::map<std::string, Row> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("| class | meaning | tried again")) inside = true;
    if (!inside) continue;
    if (line.empty()) break;
    std::vector<std::string> cells;
    std::istringstream text{line.substr(1)};
    for (std::string cell; std::getline(text, cell, '|');) cells.push_back(trimmed(cell));
    if (cells.size() < 4 || !cells[0].starts_with("`")) continue;
    std::istringstream names{cells[0]};
    for (std::string name; std::getline(names, name, ',');) {
      name = trimmed(name);
      rows[name.substr(1, name.size() - 2)] = {cells[1], cells[2], cells[3]};
    }
  }
  return rows;
}

} // namespace

TEST_CASE("the documents tell of each class whether it is tried again and what it costs") {
  const auto rows = documented();
  REQUIRE_FALSE(rows.empty());
  for (std::size_t n = 0; n < outcome_class_count; ++n) {
    const OutcomeClassInfo& about = info(static_cast<OutcomeClass>(n));
    using enum OutcomeClass;
    if (about.cls == ok || about.cls == cancelled || about.cls == unstarted) continue;
    CAPTURE(about.name);
    const auto row = rows.find(std::string{about.name});
    REQUIRE(row != rows.end());
    CHECK((row->second.again.starts_with("yes") || row->second.again.starts_with("once")) ==
          about.retryable());
    const std::string& counts = row->second.counts;
    CHECK(row->second.again.starts_with("once") == (about.toll == Toll::one_more));
    switch (about.toll) {
    case Toll::one_more:
    case Toll::attempt: CHECK(counts == "yes"); break;
    case Toll::attempt_if_well: CHECK(counts.starts_with("if ")); break;
    case Toll::none:
    case Toll::suspicion: CHECK(counts == "no"); break;
    case Toll::item: CHECK(counts.empty());
    }
  }
}

TEST_CASE("an endpoint's fault counts against no retry, and shows no endpoint to be well") {
  for (std::size_t n = 0; n < outcome_class_count; ++n) {
    const OutcomeClassInfo& about = info(static_cast<OutcomeClass>(n));
    CAPTURE(about.name);
    CHECK_FALSE(about.sentence.empty());
    CHECK_FALSE(about.source.empty());
    if (!about.is_endpoints()) continue;
    CHECK(about.retryable());
    CHECK_FALSE(about.consumes_attempt());
    CHECK_FALSE(about.shows_it_well());
  }
}

} // namespace outcome_class_test
