// Answers that are compressed although nobody asked: what comes out is read, and has its bound.
#include "protocol/limits.hpp"
#include "tests/unit/worker/http/curl_client_harness.hpp"

#include <zlib.h>
#include <zstd.h>

namespace curl_client_encoding_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;
using Connection = SocketServer::Connection;
using Request = SocketServer::Request;

namespace {

constexpr int gzip = 15 + 16, deflate_with_head = 15, deflate_raw = -15;

std::string deflated(std::string_view text, int window) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

CallEnded answered(const std::string& body, const std::string& headers) {
  SocketServer server{[&](Connection& connection) {
    Request request;
    connection.read(request);
    connection.answer(body, headers);
  }};
  Calls calls;
  return calls.run(calls.call(server.url()));
}

} // namespace

TEST_CASE("a compressed answer that nobody asked for is read") {
  const std::string text = R"({"ok":true})";
  const auto [encoding, body] = GENERATE_COPY(table<std::string, std::string>({
      {"gzip", deflated(text, gzip)},
      {"GZIP", deflated(text, gzip)},
      {"x-gzip", deflated(text, gzip)},
      {"deflate", deflated(text, deflate_with_head)},
      {"deflate", deflated(text, deflate_raw)},
      {"zstd", zstd(text)},
      {"gzip, gzip", deflated(deflated(text, gzip), gzip)},
      {"identity", text},
      {"", text},
      {"utf-8", text}, // what is no encoding is none
  }));
  CAPTURE(encoding);
  const CallEnded ended = answered(body, "Content-Encoding: " + encoding + "\r\n");
  CAPTURE(ended.message);
  CHECK(ended.end == CallEnd::answered);
  CHECK(ended.body == text);
}

TEST_CASE("an encoding that is not known leaves the bytes, and its name") {
  const CallEnded ended = answered("\x1f\x9d\x90", "Content-Encoding: compress\r\n");
  CHECK(ended.end == CallEnd::answered);
  CHECK(ended.body == "\x1f\x9d\x90");
  CHECK(header_of(ended, "content-encoding") == "compress");
  CHECK(header_of(answered(deflated("{}", gzip), "Content-Encoding: gzip\r\n"),
                  "content-encoding") == "(absent)");
}

TEST_CASE("bytes that are not what their encoding says are told as such") {
  const auto encoding = GENERATE("gzip", "deflate", "zstd");
  const CallEnded ended = answered(R"({"ok":true} and more bytes)",
                                   std::string{"Content-Encoding: "} + encoding + "\r\n");
  CAPTURE(encoding, ended.message);
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "bad_encoding");
}

TEST_CASE("the bound of an answer is on what comes out of it") {
  const std::string most(limits::reply_bytes_max, 'x');
  const auto pack = [](const std::string& text, const char* encoding) {
    return std::string_view{encoding} == "zstd" ? zstd(text) : deflated(text, gzip);
  };
  const auto encoding = GENERATE("gzip", "zstd");
  const std::string headers = std::string{"Content-Encoding: "} + encoding + "\r\n";
  CHECK(answered(pack(most, encoding), headers).body.size() == limits::reply_bytes_max);
  CHECK(answered(pack(most + "x", encoding), headers).code == "reply_too_big");
  const std::string bomb(std::size_t{256} << 20, '\0');
  CHECK(answered(pack(bomb, encoding), headers).code == "reply_too_big");
}

} // namespace curl_client_encoding_test
