#include "protocol/text/blank_text.hpp"

#include <catch2/catch.hpp>

namespace blank_text_test {

using gristmill::is_blank_text;
using gristmill::without_blank_ends;

TEST_CASE("a text of nothing but space and characters without width is blank") {
  for (const char* blank : {"", " ", "\r\n\t \v\f", "\u00a0\u00a0", " \u3000\n", "\ufeff",
                            "\u200b \u2060", "\u2028\u2029", "\u00ad", "\xC2\x85"}) {
    CAPTURE(blank);
    CHECK(is_blank_text(blank));
  }
  for (const char* text : {"a", " .", "\u00a0-", "\xff", "\xC2", "0", "\u4e00", " \u00e9 "}) {
    CAPTURE(text);
    CHECK_FALSE(is_blank_text(text));
  }
  CHECK_FALSE(is_blank_text(std::string_view{" \0 ", 3}));
}

TEST_CASE("what is blank around a text goes, and what is in it stays") {
  CHECK(without_blank_ends(" \u00a0\n{\"a\": 1}\ufeff\u200b \t") == "{\"a\": 1}");
  CHECK(without_blank_ends("a\u00a0 b") == "a\u00a0 b");
  CHECK(without_blank_ends(" \u3000 ").empty());
}

} // namespace blank_text_test
