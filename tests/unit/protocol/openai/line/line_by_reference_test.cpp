// A result line whose body stands elsewhere is, made whole, the line that it would be by value.
#include "protocol/openai/line/line_by_reference.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/text/crc32c.hpp"

#include <catch2/catch.hpp>

namespace line_by_reference_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

const Provenance about{"in.jsonl:7", 2, "m", "http://h:1/v1", 1234, false, 6, ""};

protocol::Reply answered() {
  protocol::Reply reply;
  reply.cls = OutcomeClass::ok;
  reply.http_status = 200;
  reply.request_id = "req \"1\"";
  reply.body = R"({"choices":[{"message":{"content":"null, null"}}]})";
  return reply;
}

protocol::Reply stored(const protocol::Reply& reply, std::uint64_t offset = 4711) {
  const std::string text = stored_text(reply);
  protocol::Reply elsewhere = reply;
  elsewhere.stored.offset = offset;
  elsewhere.stored.bytes = static_cast<std::uint32_t>(text.size());
  elsewhere.stored.crc = crc32c(text);
  elsewhere.stored.file = "job-3/1-2.answers";
  elsewhere.body.clear();
  elsewhere.request_id.clear();
  return elsewhere;
}

} // namespace

TEST_CASE("A line by reference becomes the line by value, byte for byte", "[by_reference]") {
  const std::string by_value = result_line(JobId{3}, "id", answered(), about);
  const std::string text = result_line(JobId{3}, "id", stored(answered()), about);
  REQUIRE(is_by_reference(text));
  CHECK_FALSE(is_by_reference(by_value));
  const auto read = read_line_by_reference(text);
  REQUIRE(read);
  CHECK(read->body.file == "job-3/1-2.answers");
  CHECK(read->body.offset == 4711);
  CHECK(read->whole(stored_text(answered())) == by_value);
  CHECK(read->whole_bytes() == by_value.size());
  // Each proves itself, and both are of the same item.
  REQUIRE(check_result_line(text));
  CHECK(check_result_line(text)->item == 6);
  CHECK(check_result_line(by_value)->item == 6);
}

TEST_CASE("No damage to a line by reference goes unseen", "[by_reference]") {
  const std::string text = result_line(JobId{3}, "id", stored(answered()), about);
  const std::size_t line = text.find("\"line\":");
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string damaged = text;
    damaged[at] = damaged[at] == '1' ? '2' : '1';
    // The file's name and the offset are no part of what the seal covers; whoever reads there
    // compares the body's CRC.
    const bool is_place = at < text.find(',') || (at > text.find(',') && at < text.find(',') + 6);
    if (is_place && at < line) continue;
    INFO(at << ": " << damaged);
    CHECK_FALSE(check_result_line(damaged));
  }
}

TEST_CASE("What is no line by reference is refused", "[by_reference]") {
  const std::string good = result_line(JobId{3}, "id", stored(answered()), about);
  CHECK_FALSE(read_line_by_reference(""));
  CHECK_FALSE(read_line_by_reference("{}"));
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes)
    CHECK_FALSE(check_result_line(good.substr(0, bytes)));
  // A body behind the line, or one that is longer than any.
  CHECK_FALSE(read_line_by_reference(R"({"by_reference":["f",0,1,"00000000",9],"line":null})"));
  CHECK(read_line_by_reference(R"({"by_reference":["f",0,1,"00000000",0],"line":null})"));
  const auto of_bytes = [](std::size_t bytes) {
    return "{\"by_reference\":[\"f\",0," + std::to_string(bytes) +
           ",\"00000000\",0],\"line\":null}";
  };
  CHECK(read_line_by_reference(of_bytes(stored_bytes_max)));
  CHECK_FALSE(read_line_by_reference(of_bytes(stored_bytes_max + 1)));
}

TEST_CASE("The CRC of two texts follows from those of each", "[by_reference]") {
  const std::string text =
      "The quick brown fox jumps over the lazy dog, again and again and again.";
  for (std::size_t at = 0; at <= text.size(); ++at)
    CHECK(crc32c_joined(crc32c(text.substr(0, at)), crc32c(text.substr(at)), text.size() - at) ==
          crc32c(text));
  const std::string long_text(1'000'003, 'x');
  CHECK(crc32c_joined(crc32c("a"), crc32c(long_text), long_text.size()) == crc32c("a" + long_text));
}

} // namespace line_by_reference_test
