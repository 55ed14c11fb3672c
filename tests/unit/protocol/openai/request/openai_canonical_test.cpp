// Requests that ask the same thing have the same key, others have not.
#include "protocol/limits.hpp"
#include "protocol/openai/request/canonical.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <set>

namespace openai_canonical_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

std::string key_of(const std::string& body, const std::string& path = "/chat/completions",
                   std::string_view scope = "item") {
  const auto key = request_key({path, body, "m"}, scope);
  if (!key) return "no key";
  std::string hex;
  for (const char byte : key->bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

} // namespace

TEST_CASE("Order of members, space and escapes do not change a key", "[canonical]") {
  const std::string key = key_of(R"({"a":{"x":[1,{"p":1,"q":2}],"y":"é/"},"b":1.50})");
  CHECK(key.size() == 32);
  CHECK(key ==
        key_of("{ \"b\" : 1.50,\n\"a\":{\"y\":\"\\u00e9\\/\",\"x\":[ 1 , {\"q\":2,\"p\":1} ]} }"));
  CHECK(key == key_of(R"({"\u0062":1.50,"a":{"y":"é/","x":[1,{"q":2,"p":1}]}})"));
}

TEST_CASE("Anything else changes a key", "[canonical]") {
  const std::set<std::string> keys{key_of("{}"),
                                   key_of("{}", "/completions"),
                                   key_of("{}", "/chat/completions", "judge"),
                                   key_of("{}", "/chat/completions", ""),
                                   key_of("[]"),
                                   key_of(R"({"a":1})"),
                                   key_of(R"({"a":1.0})"),
                                   key_of(R"({"a":"1"})"),
                                   key_of(R"({"a":[1]})"),
                                   key_of(R"({"a":[1,2]})"),
                                   key_of(R"({"a":[2,1]})"),
                                   key_of(R"({"a":1,"a":2})"),
                                   key_of(R"({"a":2,"a":1})"),
                                   key_of(R"({"a":{"b":1},"c":2})"),
                                   key_of(R"({"a":{"b":1,"c":2}})"),
                                   key_of(R"("a\"b")"),
                                   key_of(R"({"":null})")};
  CHECK(keys.size() == 17);
  CHECK(keys.count("no key") == 0);
}

TEST_CASE("Who asks does not change a key, and what stands deeper does", "[canonical]") {
  const std::string key = key_of(R"({"a":1,"b":2})");
  CHECK(key == key_of(R"({"user":"u","a":1,"b":2})"));
  CHECK(key == key_of(R"({"b":2,"metadata":{"a":1},"a":1,"safety_identifier":"s"})"));
  CHECK(key == key_of(R"({"a":1,"prompt_cache_key":"k","b":2,"user":null})"));
  CHECK(key_of(R"({"user":"u"})") == key_of("{}"));
  CHECK(key_of(R"({"a":{"user":"u"}})") != key_of(R"({"a":{}})"));
  CHECK(key_of(R"([{"user":"u"}])") != key_of("[{}]"));
  CHECK(key != key_of(R"({"a":1,"b":2,"users":"u"})"));
}

TEST_CASE("A key is BLAKE2b-128 over scope, path and canonical body", "[canonical]") {
  // printf 'item\0/p\0{"a":1,"b":[]}' | b2sum -l 128
  CHECK(key_of(R"({ "b":[], "a":1})", "/p") == "102001a83cfe3e176f6a1e3557474a5b");
}

TEST_CASE("What is no JSON has no key", "[canonical]") {
  CHECK_FALSE(request_key({"/p", "{", "m"}));
  CHECK_FALSE(request_key({"/p", std::string(100'000, '['), "m"}));
}

TEST_CASE("Deep and unordered objects still have a key", "[canonical]") {
  std::string body = "1";
  for (std::size_t i = 0; i < limits::json_depth_max; ++i) body = "{\"b\":" + body + ",\"a\":0}";
  CHECK(key_of(body) != "no key");
}

} // namespace openai_canonical_test
