// Bytes that are no frame: each class of reliability's list that a decoder can see, one by one and
// then at random. Refusing is all that may happen.
#include "actors/kit/random.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/codec.hpp"
#include "tests/unit/coordinator/gateway/raw_frame.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace codec_malformed_test {

using namespace gristmill;
using namespace gristmill::protocol;

namespace {

struct Bad {
  std::string_view name;
  std::string bytes;
  std::string_view why; // a piece of the sentence
};

std::string need(const std::string& nonce, const std::string& calls = raw::list({})) {
  return raw::frame(raw::need, raw::map({{"n", nonce}, {"c", calls}}));
}
std::string unknown(const std::string& value) {
  return raw::frame(raw::need, raw::map({{"n", raw::number(1)}, {"new", value}}));
}
std::string outcome(std::initializer_list<raw::Pair> more) {
  std::string pairs = raw::map_head(3 + more.size());
  for (const raw::Pair& pair :
       {raw::Pair{"c", raw::number(1)}, {"a", raw::number(2)}, {"p", raw::parts}})
    pairs += raw::text(pair.key) + pair.value;
  for (const raw::Pair& pair : more) pairs += raw::text(pair.key) + pair.value;
  return raw::frame(raw::outcomes, raw::map({{"o", raw::list({pairs})}}));
}
std::string hello(std::initializer_list<raw::Pair> pairs) {
  return raw::frame(raw::hello, raw::map(pairs));
}

const std::string one = raw::number(1);

void refuse_all(const std::vector<Bad>& all) {
  for (const Bad& bad : all) {
    INFO(bad.name);
    const auto heard = decode(bad.bytes, Direction::from_worker);
    REQUIRE_FALSE(heard);
    CHECK(heard.error().code == ErrorCode::bad_frame);
    CHECK_THAT(heard.error().message, Catch::Contains(std::string{bad.why}));
  }
}

Frame sample() {
  Outcome outcome;
  outcome.call = CallId{1u << 20};
  outcome.attempt = AttemptId::of(Epoch{3}, 4, 5);
  outcome.parts = {PartId{JobId{1}, 70'000, 2}, PartId{JobId{1}, 5, 0}};
  outcome.endpoint = EndpointId{77};
  outcome.usage = {true, 10, 2'000, 3, 4};
  outcome.request_id = "req_1";
  outcome.message = "sentence";
  outcome.body = R"({"choices":[]})";
  Frame frame;
  frame.epoch = Epoch{3};
  frame.session = SessionId{3ull << 32 | 1};
  frame.seq = 12;
  frame.messages.assign(1, Outcomes{{outcome, outcome}});
  return frame;
}

} // namespace

TEST_CASE("bytes that are no envelope are refused") {
  // A Need, and behind it another message.
  const auto further = [](const std::string& call, const std::string& tag,
                          const std::string& body = raw::map({})) {
    return raw::array_head(9) + need(call).substr(raw::array_head(7).size()) + tag + body;
  };
  REQUIRE(decode(further(one, raw::number(raw::goodbye)), Direction::from_worker));
  const std::string good = need(one);
  REQUIRE(decode(good, Direction::from_worker));
  refuse_all({
      {"empty", "", "frame's end"},
      {"trailing byte", good + '\0', "follow the frame"},
      {"a second frame behind", good + good, "follow the frame"},
      {"a number on top", one, "expected a list"},
      {"text on top", raw::text("hello"), "expected a list"},
      {"a map on top", raw::map({{"n", one}}), "expected a list"},
      {"a byte that msgpack does not use", "\xc1", "0xc1"},
      {"six in the envelope", raw::list({one, one, one, one, one, one}), "envelope of 7"},
      {"eight in the envelope", raw::list({one, one, one, one, one, one, one, one}),
       "envelope of 7"},
      {"a sixth message",
       raw::list(
           {one, one, one, one, one, one, one, one, one, one, one, one, one, one, one, one, one}),
       "up to 15"},
      {"a further tag that nobody has", further(one, raw::number(0)), "tag of a message"},
      {"a further tag of the other side", further(one, raw::number(raw::drain)),
       "of the other side"},
      {"a further body that is a list", further(one, raw::number(raw::goodbye), raw::list({})),
       "expected a map"},
      {"a list as body", raw::frame(raw::need, raw::list({one, one})), "expected a map"},
      {"nil as body", raw::frame(raw::need, raw::nil), "expected a map"},
      {"too many bytes", good + std::string(limits::frame_bytes_max, '\0'), "at most"},
  });
}

TEST_CASE("unknown tags and versions are refused") {
  refuse_all({
      {"tag 0", raw::frame(0, raw::map({})), "tag of a message"},
      {"tag 31", raw::frame(31, raw::map({})), "tag of a message"},
      {"tag 255", raw::frame(255, raw::map({})), "of the other side"},
      {"a coordinator's tag", raw::frame(raw::drain, raw::map({})), "of the other side"},
      {"version too old", raw::frame(raw::goodbye, raw::map({}), 0), "the same release"},
      {"version too new", raw::frame(raw::goodbye, raw::map({}), version_max + 1),
       "the same release"},
      {"version of 17 bits", raw::frame(raw::goodbye, raw::map({}), 65'536), "up to 65535"},
  });
}

TEST_CASE("Hello and Refused are read in any version, for they settle it") {
  const std::string body = raw::map({{"vl", raw::number(9)}, {"vh", raw::number(9)}, {"p", one}});
  const auto hello = decode(raw::frame(raw::hello, body, 9), Direction::from_worker);
  REQUIRE(hello);
  CHECK(std::get<Hello>(hello->messages[0]).version_low == 9);
  const auto refused = decode(raw::frame(raw::refused, raw::map({{"c", raw::number(3)}}), 9),
                              Direction::from_coordinator);
  REQUIRE(refused);
  CHECK(std::get<Refused>(refused->messages[0]).code == RefusedCode::version);
}

TEST_CASE("a message without what makes it one is refused") {
  const auto outcome_of = [](const std::string& pairs) {
    return raw::frame(raw::outcomes, raw::map({{"o", raw::list({pairs})}}));
  };
  refuse_all({
      {"no body", raw::frame(raw::need, raw::map({})), "none, 0 or"},
      {"nonce 0", need(raw::number(0)), "none, 0 or"},
      {"call 0 in a list", need(one, raw::list({one, raw::number(0)})), "got 0"},
      {"no call", outcome_of(raw::map({{"a", one}, {"p", raw::parts}})), "none, 0 or"},
      {"no attempt", outcome_of(raw::map({{"c", one}, {"p", raw::parts}})), "none, 0 or"},
      {"no part", outcome_of(raw::map({{"c", one}, {"a", one}})), "none, 0 or"},
      {"an empty list of parts",
       outcome_of(raw::map({{"c", one}, {"a", one}, {"p", raw::list({})}})), "none, 0 or"},
      {"no job", outcome_of(raw::map({{"c", one}, {"a", one}, {"p", raw::list({raw::map({})})}})),
       "none, 0 or"},
      {"no version, which has a default", hello({{"vl", one}, {"p", one}}), "none, 0 or"},
  });
}

TEST_CASE("a key that stands twice is refused, known or not") {
  refuse_all({
      {"known", raw::frame(raw::need, raw::map({{"n", one}, {"n", one}})), "twice"},
      {"unknown", raw::frame(raw::need, raw::map({{"n", one}, {"x", one}, {"y", one}, {"x", one}})),
       "twice"},
      {"nested", outcome({{"u", raw::map({{"p", one}, {"p", one}})}}), "twice"},
      {"a key that is a number", raw::frame(raw::need, raw::map_head(1) + one + one),
       "expected text"},
      {"65 keys",
       raw::frame(raw::need, raw::map_head(65) + raw::repeated(raw::text("n") + one, 65)),
       "at most 64"},
  });
}

TEST_CASE("values of the wrong kind or out of range are refused") {
  refuse_all({
      {"negative ordinal", need("\xff"), "a negative number"},
      {"negative ordinal of 64 bits", need("\xd3" + raw::big_endian(1ull << 63, 8)), "a negative"},
      {"status of 2^64-1", outcome({{"h", raw::number(UINT64_MAX)}}), "up to 65535"},
      {"status of 65536", outcome({{"h", raw::number(65'536)}}), "up to 65535"},
      {"item as a real number", need("\xcb" + raw::big_endian(0x3ff0000000000000, 8)), "a real"},
      {"not a number", need("\xca" + raw::big_endian(0x7fc00000, 4)), "a real"},
      {"extension", need("\xd4\x01\x01"), "0xd4"},
      {"extension of 32 bits", need("\xc9" + raw::big_endian(UINT32_MAX, 4)), "0xc9"},
      {"extension under an unknown key", unknown("\xc7\x01\x01\x01"), "0xc7"},
      {"flag for a number", need("\xc3"), "a flag"},
      {"number for a flag", outcome({{"u", raw::map({{"k", one}})}}), "expected a flag"},
      {"waiting time of 2^63", outcome({{"r", raw::number(1ull << 63)}}), "with sign"},
      {"class behind the last", outcome({{"o", raw::number(outcome_class_count)}}),
       "up to " + std::to_string(outcome_class_count - 1)},
      {"text for a body", outcome({{"b", raw::text("{}")}}), "expected bytes"},
      {"bytes for a sentence", outcome({{"s", raw::opaque("x")}}), "expected text"},
  });
  // A natural number in one of the formats for signed ones is what it is.
  CHECK(decode(need("\xd1" + raw::big_endian(5, 2)), Direction::from_worker));
  const auto code = raw::frame(raw::refused, raw::map({{"c", raw::number(0)}}));
  CHECK_FALSE(decode(code, Direction::from_coordinator));
}

TEST_CASE("text that is no UTF-8 is refused, and controls in a name") {
  const auto name = [](std::string_view text) {
    return hello({{"vl", one}, {"vh", one}, {"p", one}, {"n", raw::text(text)}});
  };
  REQUIRE(decode(name("wörker"), Direction::from_worker));
  using namespace std::string_view_literals;
  refuse_all({
      {"half a character", name("w\xc3"), "UTF-8"},
      {"overlong", name("\xc0\xaf"), "UTF-8"},
      {"surrogate", name("\xed\xa0\x80"), "UTF-8"},
      {"NUL", name("a\0b"sv), "controls"},
      {"newline", name("a\nb"), "controls"},
      {"delete", name("a\x7f"), "controls"},
      {"sentence", outcome({{"s", raw::text("\xff")}}), "UTF-8"},
      {"request id", outcome({{"i", raw::text("a\rb")}}), "controls"},
  });
  CHECK(decode(outcome({{"s", raw::text("two\nlines")}}), Direction::from_worker));
  CHECK(decode(outcome({{"b", raw::opaque("\xff\0\n"sv)}}), Direction::from_worker));
}

TEST_CASE("sizes beyond their bounds are refused") {
  const std::string answer(limits::reply_bytes_max + 1, 'b');
  const std::string sentence(limits::text_bytes_max + 1, 's');
  refuse_all({
      {"answer", outcome({{"b", raw::opaque(answer)}}), "at most 16777216 bytes"},
      {"sentence", outcome({{"s", raw::text(sentence)}}), "at most 65536 bytes"},
      {"key", raw::frame(raw::need, raw::map({{std::string(257, 'k'), one}})), "at most 256 bytes"},
  });
}

TEST_CASE("bombs are refused by their heads") {
  const std::string huge = "\xff\xff\xff\xff";
  refuse_all({
      {"list of 4 G on top", "\xdd" + huge, "at most 65536"},
      {"list of 4 G", need(one, "\xdd" + huge), "at most 65536"},
      {"map of 4 G", raw::frame(raw::need, "\xdf" + huge), "at most 64"},
      {"unknown map of 4 G", unknown("\xdf" + huge), "at most 65536"},
      {"list longer than the frame", need(one, raw::array_head(1'000)), "bytes are left"},
      {"text past the end", unknown("\xdb" + huge), "are left"},
      {"bytes past the end", outcome({{"b", "\xc6" + huge}}), "are left"},
      {"depth 100000", raw::repeated("\x91", 100'000), "envelope of 7"},
      {"unknown depth 100000", unknown(raw::repeated("\x91", 100'000)), "8 levels"},
      {"unknown map depth 100000", unknown(raw::repeated("\x81\xa1x", 100'000)), "8 levels"},
      {"chain of array16(65535)", unknown(raw::repeated("\xdc\xff\xff", 24'000)), "8 levels"},
      {"3 MB of nil as calls", need(one, raw::list_of(3'000'000, raw::nil)), "at most 65536"},
      {"3 MB of nil", raw::repeated(raw::nil, 3'000'000), "expected a list"},
      {"empty outcomes", raw::frame(raw::outcomes, raw::map({{"o", raw::list_of(60'000, "\x80")}})),
       "more memory"},
  });
}

TEST_CASE("eight levels are read and nine refused") {
  // The envelope and its body are two of them.
  CHECK(decode(unknown(raw::repeated("\x91", 6) + one), Direction::from_worker));
  CHECK_FALSE(decode(unknown(raw::repeated("\x91", 7) + one), Direction::from_worker));
}

TEST_CASE("no frame may be cut anywhere") {
  const std::string bytes = encode(sample());
  REQUIRE(decode(bytes, Direction::from_worker));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // A copy of its own size, so that a sanitizer sees a read behind its end.
    const std::vector<char> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    INFO("cut to " << size << " of " << bytes.size());
    REQUIRE_FALSE(decode({cut.data(), cut.size()}, Direction::from_worker));
  }
}

TEST_CASE("a frame with changed bytes is refused or is another frame, and nothing else happens") {
  const std::string bytes = encode(sample());
  Random random{7};
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string changed = bytes;
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n)
      changed[random.below(changed.size())] = static_cast<char>(random.next());
    const auto frame = decode(changed, Direction::from_worker);
    if (!frame) continue;
    ++accepted;
    REQUIRE(decode(encode(*frame), Direction::from_worker) == *frame);
  }
  CHECK(accepted > 0);
}

} // namespace codec_malformed_test
