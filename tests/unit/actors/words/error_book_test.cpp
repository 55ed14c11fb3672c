// Which errors are one cause, what is kept of it, and that neither a corpus nor a server makes it
// grow.
#include "actors/words/error_book.hpp"

#include <catch2/catch.hpp>
#include <numeric>

namespace error_book_test {

using namespace gristmill;

namespace {

MetError met(OutcomeClass cls, std::string_view code, std::uint16_t status = 0,
             std::string_view words = "words") {
  return {cls, code, status, words, "item-1", "in.jsonl:1"};
}

std::uint64_t count_of(const ErrorList& errors, OutcomeClass cls) {
  return std::accumulate(errors.begin(), errors.end(), std::uint64_t{0},
                         [&](std::uint64_t sum, const CountedError& error) {
                           return sum + (error.cls == cls ? error.count : 0);
                         });
}

} // namespace

TEST_CASE("one cause is one class, code and status; each has the last words and their time") {
  ErrorBook book;
  book.met(met(OutcomeClass::rate, "slow", 429, "first"));
  book.stamp(100);
  book.met(met(OutcomeClass::rate, "slow", 503));
  book.met(met(OutcomeClass::overload, "slow", 503));
  book.met(met(OutcomeClass::rate, "other_code", 429));
  book.stamp(200);
  book.met(met(OutcomeClass::rate, "slow", 429, "second"));
  book.ended_item(met(OutcomeClass::rate, "slow", 429));
  book.stamp(300);
  const ErrorList errors = book.list();
  REQUIRE(errors.size() == 4);
  CHECK(errors[0].count == 2);
  CHECK(errors[0].final == 1);
  CHECK(errors[0].retried() == 1);
  CHECK(errors[0].sample == "second");
  CHECK(errors[0].item == "item-1");
  CHECK(errors[0].source == "in.jsonl:1");
  CHECK(errors[0].at == 300);
  CHECK(errors[1].at == 200);
  CHECK(book.last()->sample == "second");
}

TEST_CASE("a book may keep the first words instead") {
  ErrorBook book{ErrorBook::Sample::first};
  book.met(met(OutcomeClass::rate, "slow", 429, "first"));
  book.met(met(OutcomeClass::rate, "slow", 429, "second"));
  CHECK(book.most_frequent()->sample == "first");
  CHECK(book.most_frequent()->count == 2);
}

TEST_CASE("so many causes are told apart, further ones are counted by class, and nothing is lost") {
  ErrorBook book;
  for (std::size_t n = 1; n < error_causes_max; ++n)
    book.met(met(OutcomeClass::bad_line, std::to_string(n)));
  CHECK(book.list().size() == error_causes_max - 1);
  book.met(met(OutcomeClass::bad_line, "the last one of its own"));
  CHECK(book.list().size() == error_causes_max);
  for (int n = 0; n < 1'000; ++n) {
    book.met(met(OutcomeClass::bad_line, "more " + std::to_string(n)));
    book.met(met(OutcomeClass::rate, "more " + std::to_string(n)));
  }
  book.met(met(OutcomeClass::bad_line, "1")); // one that is known
  const ErrorList errors = book.list();
  CHECK(errors.size() == error_causes_max + 2);
  CHECK(errors[0].code == "other");
  CHECK(errors[0].count == 1'000);
  CHECK(count_of(errors, OutcomeClass::bad_line) == error_causes_max + 1'001);
  CHECK(count_of(errors, OutcomeClass::rate) == 1'000);
}

TEST_CASE("words are cut and fit for a terminal, whatever a server says") {
  ErrorBook book;
  book.met(met(OutcomeClass::transient, std::string(1'000, 'c'), 500,
               "\x1b[2J" + std::string(error_words_max + 1, 'x')));
  const CountedError error = book.list().front();
  CHECK(error.sample.size() <= error_words_max);
  CHECK(error.sample.find('\x1b') == std::string::npos);
  CHECK(error.code.size() <= limits::name_bytes_max);
  std::string umlauts;
  for (std::size_t n = 0; n < error_words_max; ++n) umlauts += "ö";
  book.met(met(OutcomeClass::timeout, "t", 0, umlauts));
  CHECK(book.last()->sample == umlauts.substr(0, error_words_max));
}

TEST_CASE("news and notes are told once, and again when there are some") {
  ErrorBook book;
  CHECK_FALSE(book.news());
  book.met(met(OutcomeClass::rate, "slow"));
  REQUIRE(book.news());
  CHECK_FALSE(book.news());
  CHECK(book.take_unnoted().size() == 1);
  CHECK_FALSE(book.has_unnoted());
  book.met(met(OutcomeClass::timeout, "timeout"));
  book.ended_item(met(OutcomeClass::rate, "slow"));
  CHECK(book.has_unnoted());
  CHECK(book.take_unnoted().size() == 2);
  CHECK(book.news()->size() == 2);
}

TEST_CASE("a book goes on where an earlier one stopped") {
  ErrorBook first;
  first.met(met(OutcomeClass::rate, "slow", 429, "before"));
  first.stamp(100);
  ErrorBook second;
  second.count_from(first.list());
  CHECK(second.list().front().sample == "before");
  CHECK(second.list().front().at == 100);
  CHECK(second.last() == nullptr); // not in this life
  second.met(met(OutcomeClass::rate, "slow", 429, "after"));
  second.stamp(200);
  REQUIRE(second.list().size() == 1);
  CHECK(second.list().front().count == 2);
  CHECK(second.list().front().sample == "after");
}

TEST_CASE("what came is said in one line, and a status is not said twice") {
  CountedError error{OutcomeClass::rate, "rate_limit_exceeded", 429, 1, 0, "slow down", "", "", 0};
  CHECK(said(error) == "HTTP 429 rate_limit_exceeded: slow down");
  CHECK(name_of(error) == "rate, rate_limit_exceeded");
  error.code = "http_429";
  CHECK(said(error) == "HTTP 429: slow down");
  error = {OutcomeClass::unreachable, "connect_refused", 0, 1, 0, "", "", "", 0};
  CHECK(said(error) == "connect_refused: the endpoint cannot be reached");
  error = {OutcomeClass::timeout, "", 0, 1, 1, "", "", "", 0};
  CHECK(said(error) == "timeout: no complete answer within the call's timeout");
  CHECK(name_of(error) == "timeout");
}

TEST_CASE("of late is the last minute before the last error, and of that the commonest") {
  const auto of = [](std::string code, std::uint64_t count, std::int64_t at) {
    return CountedError{OutcomeClass::rate, std::move(code), 429, count, 0, "w", "", "", at};
  };
  CHECK(of_late({}) == nullptr);
  CHECK(of_late({of("not known when", 5, 0)}) == nullptr);
  const ErrorList errors{of("long ago", 900, 39), of("a minute ago", 7, 40), of("now", 3, 100)};
  CHECK(of_late(errors)->code == "a minute ago");
}

TEST_CASE("a list is cut by putting the rest of a class together; a retry takes finals back") {
  ErrorList errors;
  for (std::uint64_t n = 1; n <= 5; ++n)
    errors.push_back({n % 2 == 0 ? OutcomeClass::rate : OutcomeClass::timeout, std::to_string(n), 0,
                      10 * n, n, "w", "", "", 1});
  const ErrorList cut = leading(errors, 2);
  REQUIRE(cut.size() == 4);
  CHECK(cut[0].code == "5");
  CHECK(cut[1].code == "4");
  CHECK(count_of(cut, OutcomeClass::timeout) == 90);
  CHECK(count_of(cut, OutcomeClass::rate) == 60);
  CHECK(leading(errors, 5).size() == 5);
  take_back(errors, {OutcomeClass::rate});
  CHECK(errors[1].final == 0);
  CHECK(errors[1].retried() == 20);
  CHECK(errors[0].final == 1);
  take_back(errors, {});
  CHECK(errors[0].final == 0);
}

} // namespace error_book_test
