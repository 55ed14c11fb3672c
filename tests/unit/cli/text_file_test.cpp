#include "cli/text_file.hpp"

#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <fstream>

namespace text_file_test {

using namespace gristmill;
using namespace std::string_literals;

TEST_CASE("a text file is read without its byte order mark, and in UTF-8 only") {
  const store_test::TempDirectory temp;
  const std::string path = temp / "prompt.txt";
  const auto read = [&](const std::string& bytes) {
    std::ofstream{path, std::ios::binary} << bytes;
    return cli::text_of_file("--prompt-file", path);
  };
  CHECK(read("Sum up: {{text}}").value() == "Sum up: {{text}}");
  CHECK(read("\xEF\xBB\xBFSum up: {{text}}").value() == "Sum up: {{text}}");
  CHECK(read("").value().empty());
  for (const std::string& other : {"\xFF\xFES\0u\0m\0"s, "\xFE\xFF\0S\0u\0m"s, "S\0u\0m\0 \0"s}) {
    const auto refused = read(other);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::usage);
    CHECK_THAT(refused.error().message,
               Catch::StartsWith("--prompt-file " + path) && Catch::Contains("UTF-16"));
  }
}

} // namespace text_file_test
