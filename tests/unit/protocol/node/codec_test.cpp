// Every message comes back as it left, whatever its fields hold within their bounds; and what is
// unknown, missing or too much for a bound is treated as protocol/node/codec.hpp says.
#include "actors/kit/random.hpp"
#include "protocol/node/codec.hpp"
#include "protocol/node/wire_fields.hpp"
#include "tests/unit/coordinator/gateway/raw_frame.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

namespace codec_test {

using namespace gristmill;
using namespace gristmill::protocol;

namespace {

// The number of members that an aggregate has, to see that each has a key.

struct Anything {
  template <class T> operator T() const;
};
template <class T, class... Values> constexpr std::size_t member_count() {
  if constexpr (requires { T{Values{}..., Anything{}}; })
    return member_count<T, Values..., Anything>();
  else
    return sizeof...(Values);
}
template <class... T>
constexpr bool all_travel =
    ((member_count<T>() == std::tuple_size_v<std::remove_cvref_t<decltype(wire::fields<T>)>>)&&...);

static_assert(all_travel<PartId, Capacity, QueueReport, ReadPause, Claim, AnnouncedEndpoint, Usage,
                         LimitHint, Answer>);
static_assert(all_travel<SharedProof, SharedAgreed>);
// What stands within another travels as its own; a stored body's file does not travel.
static_assert(member_count<Claim>() + member_count<Reply>() + 1 + member_count<StoredBody>() - 2 ==
              std::tuple_size_v<std::remove_cvref_t<decltype(wire::fields<Outcome>)>>);
static_assert(member_count<PartId>() + member_count<PlannedPart>() + member_count<Repair>() +
                  member_count<SharedRange>() - 3 ==
              std::tuple_size_v<std::remove_cvref_t<decltype(wire::fields<PlannedPart>)>>);
static_assert(member_count<EndpointSpec>() - 1 + member_count<RateLimits>() ==
              std::tuple_size_v<std::remove_cvref_t<decltype(wire::fields<EndpointSpec>)>>);
static_assert(all_travel<Returned::Entry, EndpointEntry, PlannedCall, Permit>);
static_assert(all_travel<Hello, Need, Heartbeat, Outcomes, Returned, Goodbye, Welcome, Refused>);
static_assert(all_travel<JobOpened, Batch, Permits, Wait, Recorded, Cancel, Drain>);

// Messages with all fields filled.

std::uint64_t any_number(Random& random, std::uint64_t max) {
  const std::uint64_t edges[]{0, 1, 127, 128, 255, 256, 65'535, 65'536, UINT32_MAX, max};
  const std::uint64_t value = random.chance(0.5) ? edges[random.below(std::size(edges))]
                                                 : random.next() >> random.below(64);
  return std::min(value, max);
}

std::string any_bytes(Random& random, std::size_t most) {
  const std::size_t edges[]{0, 1, 31, 32, 255, 256, 65'535, 65'536};
  std::string bytes(std::min(edges[random.below(std::size(edges))], most), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  return bytes;
}

std::string any_text(Random& random, wire::Rule rule) {
  const std::string_view pieces[]{"a", "~", "é", "漢", "😀", rule == wire::Rule::name ? " " : "\n"};
  const std::size_t edges[]{0, 1, 31, 32, 255, 256, 65'536};
  const std::size_t size = std::min(edges[random.below(std::size(edges))], wire::bytes_max(rule));
  std::string text;
  while (text.size() + 4 < size) text += pieces[random.below(std::size(pieces))];
  return text + std::string(size - text.size(), 'x');
}

template <class T> void fill(T& value, Random& random, wire::Rule rule = wire::Rule::plain) {
  if constexpr (std::is_same_v<T, bool>) {
    value = random.chance(0.5);
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    value = static_cast<std::int64_t>(any_number(random, INT64_MAX));
    if (random.chance(0.5)) value = -value - 1;
  } else if constexpr (std::is_integral_v<T>) {
    value = static_cast<T>(any_number(random, std::numeric_limits<T>::max()));
  } else if constexpr (NamedEnum<T>) {
    value = static_cast<T>(random.below(enum_names<T>.size()));
  } else if constexpr (std::is_enum_v<T>) {
    const auto [first, last] = wire::range<T>;
    const auto count = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) + 1;
    value = static_cast<T>(static_cast<std::uint64_t>(first) + random.below(count));
  } else if constexpr (std::is_same_v<T, std::string>) {
    value =
        wire::is_opaque(rule) ? any_bytes(random, wire::bytes_max(rule)) : any_text(random, rule);
  } else if constexpr (requires { value.value; }) {
    fill(value.value, random);
    if (!value) value.value = 1;
  } else if constexpr (requires { value.resize(1); }) {
    value.resize(random.chance(0.05) ? 20 : 1 + random.below(3));
    for (auto& element : value) fill(element, random);
  } else {
    const auto fill_one = [&](const auto& field) {
      auto& member = field.of(value);
      fill(member, random, field.rule);
      if constexpr (std::is_integral_v<std::remove_reference_t<decltype(member)>>)
        if (field.essential)
          member = std::max<std::remove_reference_t<decltype(member)>>(member, 1);
    };
    std::apply([&](const auto&... field) { (fill_one(field), ...); }, wire::fields<T>);
  }
}

template <std::size_t... I>
std::vector<Frame> one_of_each(Random& random, std::index_sequence<I...>) {
  std::vector<Frame> frames(sizeof...(I));
  for (Frame& frame : frames) {
    fill(frame.epoch, random);
    fill(frame.session, random);
    fill(frame.seq, random);
    fill(frame.ack, random);
  }
  (fill(frames[I].messages.emplace_back().emplace<I>(), random), ...);
  return frames;
}

std::vector<Frame> one_of_each(std::uint64_t seed) {
  Random random{seed};
  return one_of_each(random, std::make_index_sequence<std::variant_size_v<Message>>{});
}

Direction direction_of(const Frame& frame) {
  return from_worker(frame.messages[0]) ? Direction::from_worker : Direction::from_coordinator;
}
Direction opposite(Direction direction) {
  return direction == Direction::from_worker ? Direction::from_coordinator : Direction::from_worker;
}

Result<Frame> from_a_worker(const std::string& bytes) {
  return decode(bytes, Direction::from_worker);
}

Frame with_name(std::size_t bytes) {
  Hello hello;
  hello.name = std::string(bytes, 'n');
  hello.process = Nonce{1};
  Frame frame;
  frame.messages.assign(1, std::move(hello));
  return frame;
}

Outcome smallest_outcome() {
  Outcome outcome;
  outcome.call = CallId{1};
  outcome.attempt = AttemptId{2};
  outcome.parts = {PartId{JobId{3}, 0, 0}};
  return outcome;
}

} // namespace

TEST_CASE("every message comes back as it left, whatever its fields hold") {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    for (const Frame& frame : one_of_each(seed)) {
      INFO("seed " << seed << ", " << name_of(frame.messages[0]));
      const std::string bytes = encode(frame);
      const auto back = decode(bytes, direction_of(frame));
      REQUIRE(back);
      REQUIRE(*back == frame);
      REQUIRE(encode(*back) == bytes);
    }
  }
}

TEST_CASE(
    "an endpoint travels as it ever did: its limits beside its address, how it counts by name") {
  Hello hello;
  hello.process = Nonce{1};
  EndpointSpec endpoint;
  endpoint.url = "http://a/v1";
  endpoint.limits.requests_per_minute = 600;
  endpoint.limits.token_counting = TokenCounting::reserved;
  hello.endpoints = {{.model = "m", .endpoint = endpoint}};
  Frame frame;
  frame.messages.assign(1, hello);
  const std::string bytes = encode(frame);
  CHECK(bytes.find("\xa1r\xcd\x02\x58") != std::string::npos); // "r": 600
  CHECK(bytes.find("\xa1"
                   "c\xa8reserved") != std::string::npos);
  std::string other = bytes;
  other.replace(other.find("reserved"), 8, "resErved");
  const auto back = from_a_worker(other);
  REQUIRE_FALSE(back);
  CHECK(back.error().message.find("expected usage or reserved") != std::string::npos);
}

TEST_CASE("an outcome of every class comes back, and of no other number") {
  for (std::size_t number = 0; number <= outcome_class_count; ++number) {
    CAPTURE(number);
    Outcome outcome = smallest_outcome();
    outcome.cls = static_cast<OutcomeClass>(number);
    Frame frame;
    frame.messages.assign(1, Outcomes{{outcome}});
    const auto back = decode(encode(frame), direction_of(frame));
    CHECK(back.has_value() == (number < outcome_class_count));
    if (back) CHECK(*back == frame);
  }
}

TEST_CASE("a message of the wrong direction is refused") {
  for (const Frame& frame : one_of_each(1)) {
    INFO(name_of(frame.messages[0]));
    const auto heard = decode(encode(frame), opposite(direction_of(frame)));
    REQUIRE_FALSE(heard);
    CHECK(heard.error().code == ErrorCode::bad_frame);
    CHECK_THAT(heard.error().message, Catch::Contains("of the other side"));
  }
}

TEST_CASE("the bytes of a frame are those of the releases before") {
  Frame frame;
  frame.epoch = Epoch{2};
  frame.session = SessionId{300};
  frame.seq = 4;
  frame.ack = 5;
  frame.messages.assign(1, Need{Nonce{6}, {CallId{7}, CallId{70'000}}, 1});
  const unsigned char expected[]{0x97, 2,   2,    2, 0xcd, 1, 44, 4,    5,    0x83, 0xa1, 'n', 6,
                                 0xa1, 'c', 0x92, 7, 0xce, 0, 1,  0x11, 0x70, 0xa1, 'a',  1};
  CHECK(encode(frame) == std::string(expected, expected + sizeof expected));
}

TEST_CASE("a key that this release does not know is skipped with all that it holds") {
  const std::string deep = raw::list({raw::map({{"x", raw::list({raw::nil, raw::text("y")})}}),
                                      raw::number(1u << 31), "\xca" + raw::big_endian(0, 4),
                                      "\xcb" + raw::big_endian(0, 8), raw::opaque("z"), "\xc3"});
  const auto need = from_a_worker(
      raw::frame(raw::need, raw::map({{"new", deep}, {"n", raw::number(3)}, {"newer", raw::nil}})));
  REQUIRE(need);
  CHECK(std::get<Need>(need->messages[0]) == Need{Nonce{3}, {}});
  CHECK(from_a_worker(raw::frame(raw::goodbye, raw::map({{"why", raw::text("tired")}}))));
}

TEST_CASE("a key that an older release does not send leaves the default") {
  const std::string outcome = raw::map({{"c", raw::number(1)},
                                        {"a", raw::number(2)},
                                        {"p", raw::list({raw::map({{"j", raw::number(3)}})})}});
  const auto frame =
      from_a_worker(raw::frame(raw::outcomes, raw::map({{"o", raw::list({outcome})}})));
  REQUIRE(frame);
  CHECK(std::get<Outcomes>(frame->messages[0]).outcomes == std::vector{smallest_outcome()});
}

TEST_CASE("a name may have as many bytes as its limit, and not one more") {
  for (const std::size_t bytes : {limits::name_bytes_max - 1, limits::name_bytes_max}) {
    const auto back = from_a_worker(encode(with_name(bytes)));
    REQUIRE(back);
    CHECK(*back == with_name(bytes));
  }
  const std::string spelled =
      raw::map({{"vl", raw::number(1)},
                {"vh", raw::number(1)},
                {"p", raw::number(1)},
                {"n", raw::text(std::string(limits::name_bytes_max + 1, 'n'))}});
  CHECK_FALSE(from_a_worker(raw::frame(raw::hello, spelled)));
}

TEST_CASE("a list may have as many elements as the limit, and not one more") {
  const auto need_of = [](std::size_t calls) {
    return raw::frame(raw::need,
                      raw::map({{"n", raw::number(1)}, {"c", raw::list_of(calls, "\x05")}}));
  };
  CHECK(from_a_worker(need_of(limits::frame_elements_max - 1)));
  CHECK(from_a_worker(need_of(limits::frame_elements_max)));
  CHECK_FALSE(from_a_worker(need_of(limits::frame_elements_max + 1)));
}

TEST_CASE("a frame may have as many bytes as the limit, and not one more") {
  const auto need_of = [](std::size_t bytes) {
    const auto spelled = [](std::size_t padding) {
      return raw::frame(raw::need, raw::map({{"n", raw::number(1)},
                                             {"new", raw::opaque(std::string(padding, '.'))}}));
    };
    return spelled(bytes - spelled(0).size());
  };
  REQUIRE(need_of(limits::frame_bytes_max).size() == limits::frame_bytes_max);
  CHECK(from_a_worker(need_of(limits::frame_bytes_max - 1)));
  CHECK(from_a_worker(need_of(limits::frame_bytes_max)));
  CHECK_FALSE(from_a_worker(need_of(limits::frame_bytes_max + 1)));
}

TEST_CASE("the longest lists of the smallest elements that encode writes may have their memory") {
  const auto many = [](const auto& element) {
    return std::vector(limits::frame_elements_max, element);
  };
  const auto parts = smallest_outcome().parts;
  const std::vector<Message> messages{
      Outcomes{many(smallest_outcome())},
      Returned{many(Returned::Entry{CallId{1}, {}}), false, false},
      Need{Nonce{1}, many(CallId{1})},
      JobOpened{JobId{1}, {}, many(EndpointEntry{EndpointId{1}, {}})},
      Batch{many(PlannedCall{CallId{1}, {{parts[0], ItemKind::text, {}}}, {}})},
      Permits{Nonce{1}, many(Permit{CallId{1}, AttemptId{1}, EndpointId{1}, 1})},
  };
  for (const Message& message : messages) {
    INFO(name_of(message));
    Frame frame;
    frame.messages.assign(1, message);
    CHECK(decode(encode(frame), direction_of(frame)));
  }
  Hello hello;
  hello.process = Nonce{1};
  hello.endpoints = many(AnnouncedEndpoint{});
  hello.in_flight = hello.outbox = many(Claim{CallId{1}, AttemptId{1}, parts, {}});
  hello.held = many(CallId{1});
  Frame frame;
  frame.messages.assign(1, std::move(hello));
  CHECK(from_a_worker(encode(frame)));
}

TEST_CASE(
    "a frame takes up to five messages, in order, and of more bytes than its target one alone") {
  Frame frame;
  frame.epoch = Epoch{3};
  frame.session = SessionId{3ull << 32 | 1};
  frame.seq = 2;
  FrameWriter writer{frame};
  for (std::uint64_t n = 1; n <= limits::frame_messages_max; ++n) {
    const Message message =
        n % 2 == 0 ? Message{Heartbeat{{4, n}}} : Message{Need{Nonce{n}, {CallId{n}}}};
    CHECK(writer.add(message));
    frame.messages.push_back(message);
    CHECK(writer.bytes() == encode(frame));
    const auto back = decode(writer.bytes(), Direction::from_worker);
    REQUIRE(back);
    CHECK((*back == frame));
  }
  CHECK_FALSE(writer.add(Heartbeat{}));
  CHECK(writer.bytes() == encode(frame));

  Outcome large = smallest_outcome();
  large.body = std::string(limits::frame_target_bytes, 'b');
  FrameWriter small_first{frame}, large_first{frame};
  REQUIRE(small_first.add(Heartbeat{}));
  const std::string before = small_first.bytes();
  CHECK_FALSE(small_first.add(Outcomes{{large}}));
  CHECK(small_first.bytes() == before);
  CHECK(small_first.add(Need{Nonce{1}, {CallId{1}}})); // that fits
  CHECK(large_first.add(Outcomes{{large}}));
  CHECK_FALSE(large_first.add(Heartbeat{}));
}

TEST_CASE("the largest item and the largest answer fit a frame") {
  Outcome outcome = smallest_outcome();
  outcome.message = std::string(limits::text_bytes_max, 's');
  outcome.body = std::string(limits::reply_bytes_max, 'b');
  Frame answer, item;
  answer.messages.emplace_back(Outcomes{{outcome}});
  item.messages.emplace_back(Batch{
      {PlannedCall{CallId{1},
                   {{outcome.parts[0], ItemKind::text, std::string(limits::line_bytes_max, 'r')}},
                   {}}}});
  for (const Frame& frame : {answer, item}) {
    const auto back = decode(encode(frame), direction_of(frame));
    REQUIRE(back);
    CHECK((*back == frame));
  }
}

TEST_CASE("foreign text is made fit to travel instead of being refused by the other side") {
  Outcome outcome = smallest_outcome();
  outcome.model = std::string(255, 'm') + "éé";
  outcome.code = "a\nb";
  outcome.message = "half a character: \xc3";
  Frame frame;
  frame.messages.assign(1, Outcomes{{outcome}});
  const auto back = from_a_worker(encode(frame));
  REQUIRE(back);
  const Outcome& heard = std::get<Outcomes>(back->messages[0]).outcomes.front();
  CHECK(heard.model == std::string(255, 'm'));
  CHECK(heard.code == "a b");
  CHECK(heard.message == "half a character: \xef\xbf\xbd");
}

} // namespace codec_test
