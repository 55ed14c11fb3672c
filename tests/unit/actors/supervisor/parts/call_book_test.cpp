// Which calls carry which parts, which of them are second calls, and how many have not begun.
#include "actors/supervisor/parts/call_book.hpp"

#include <catch2/catch.hpp>

namespace call_book_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;
constexpr CallId one{1}, two{2}, three{3};
constexpr EndpointId at{4};

PartId part(std::uint32_t number) {
  return {JobId{7}, 0, number};
}
using Parts = std::vector<PartId>;

// A call of two parts and its second call.
CallBook with_second() {
  CallBook book;
  book.open(one, {part(0), part(1)});
  book.open_second(one, two);
  return book;
}

} // namespace

TEST_CASE("a call is known with its parts until it is closed") {
  CallBook book;
  book.open(one, {part(0), part(1)});
  REQUIRE(book.find(one));
  CHECK(book.find(one)->parts == Parts{part(0), part(1)});
  CHECK(book.find(two) == nullptr);
  CHECK_FALSE(book.close(one));
  CHECK(book.find(one) == nullptr);
  CHECK(book.calls().empty());
  CHECK_FALSE(book.close(one)); // told twice
}

TEST_CASE("a call begins once, where it is told to") {
  CallBook book;
  book.open(one, {part(0)});
  book.open(two, {part(1)});
  book.open(three, {part(2)}, now); // of which it is known
  CHECK(book.not_begun() == 2);
  book.begun(one, at, now);
  CHECK(book.not_begun() == 1);
  CHECK(book.find(one)->begun_at == now);
  CHECK(book.find(one)->endpoint == at);
  book.begun(one, EndpointId{5}, now + 1s); // after a permit that ended
  CHECK(book.not_begun() == 1);
  CHECK(book.find(one)->begun_at == now + 1s);
  CHECK(book.find(one)->endpoint == EndpointId{5});
  book.close(one);
  book.close(three);
  CHECK(book.not_begun() == 1);
  book.close(two);
  CHECK(book.not_begun() == 0);
}

TEST_CASE("parts that are found to be in a call join those that are known to be") {
  CallBook book;
  book.take(one, {}, now);
  CHECK(book.find(one) == nullptr);
  book.take(one, {part(0)}, now);
  book.take(one, {part(1), part(2)});
  CHECK(book.find(one)->parts == Parts{part(0), part(1), part(2)});
  CHECK(book.find(one)->begun_at == now);
  CHECK(book.not_begun() == 0);
}

TEST_CASE("with its last part a call is closed") {
  CallBook book;
  book.open(one, {part(0), part(1)});
  book.release(two, part(0)); // nobody knows it
  book.release(one, part(5)); // it is not in it
  CHECK(book.find(one)->parts == Parts{part(0), part(1)});
  book.release(one, part(0));
  CHECK(book.find(one)->parts == Parts{part(1)});
  CHECK(book.not_begun() == 1);
  book.release(one, part(1));
  CHECK(book.find(one) == nullptr);
  CHECK(book.not_begun() == 0);
}

TEST_CASE("two calls of the same parts name each other") {
  CallBook book = with_second();
  CHECK(book.find(two)->parts == Parts{part(0), part(1)});
  CHECK(book.find(one)->other == two);
  CHECK(book.find(two)->other == one);
  CHECK(book.find(one)->hedged);
  CHECK(book.find(two)->hedged);
  CHECK_FALSE(book.find(one)->is_second);
  CHECK(book.find(two)->is_second);
  CHECK(book.not_begun() == 1); // a second call keeps nobody waiting
  book.begun(two, at, now);
  CHECK(book.not_begun() == 1);
  book.begun(one, at, now);
  CHECK(book.not_begun() == 0);
}

TEST_CASE("when one of two calls is closed the other is the only one, and gets no third") {
  const bool first_closes = GENERATE(true, false);
  CallBook book = with_second();
  const CallId gone = first_closes ? one : two, left = first_closes ? two : one;
  CHECK(book.close(gone) == left);
  CHECK_FALSE(book.find(left)->other);
  CHECK_FALSE(book.find(left)->is_second);
  CHECK(book.find(left)->hedged);
  CHECK(book.not_begun() == 1);
  CHECK_FALSE(book.close(left));
  CHECK(book.not_begun() == 0);
}

TEST_CASE("the parts of a second call that is left have been out since the first began") {
  const auto [first, second, since] = GENERATE(table<Time, Time, Time>({
      {never, never, never},
      {now, never, now},
      {never, now + 1s, now + 1s},
      {now, now + 1s, now},
      {now + 2s, now + 1s, now + 1s}, // the first one's permit had ended
  }));
  CallBook book = with_second();
  if (first != never) book.begun(one, at, first);
  if (second != never) book.begun(two, at, second);
  book.close(one);
  CHECK(book.find(two)->begun_at == since);
  CHECK(book.not_begun() == (since == never ? 1 : 0));
  book.begun(two, at, now + 5s);
  CHECK(book.not_begun() == 0);
}

TEST_CASE("a first call that is left began when it did") {
  CallBook book = with_second();
  book.begun(one, at, now + 1s);
  book.begun(two, at, now);
  book.close(two);
  CHECK(book.find(one)->begun_at == now + 1s);
}

TEST_CASE("a part leaves one of two calls, and the other keeps it") {
  CallBook book = with_second();
  book.release(two, part(0));
  CHECK(book.find(one)->parts == Parts{part(0), part(1)});
  CHECK(book.find(two)->parts == Parts{part(1)});
  book.release(two, part(1));
  CHECK(book.find(two) == nullptr);
  CHECK_FALSE(book.find(one)->other);
}

} // namespace call_book_test
