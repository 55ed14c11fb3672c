#include "worker/descriptor_limit.hpp"
#include "worker/http/api_keys.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace api_keys_test {

using gristmill::worker::ApiKeys;
using gristmill::worker::check_descriptor_limit;

namespace {

class KeyFile {
public:
  explicit KeyFile(std::string_view text) {
    const int fd = ::mkstemp(path_.data());
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(fd);
  }
  ~KeyFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

private:
  std::string path_ = (std::filesystem::temp_directory_path() / "key-XXXXXX").string();
};

} // namespace

TEST_CASE("no name means no Authorization") {
  ApiKeys keys;
  const auto line = keys.authorization("", "");
  REQUIRE(line);
  CHECK(*line == nullptr);
}

TEST_CASE("a key comes from the environment variable or, trimmed, from the file") {
  ApiKeys keys;
  ::setenv("GRISTMILL_TEST_KEY", "sk-env", 1);
  const KeyFile file{"  sk-file\r\n\n"};
  CHECK(**keys.authorization("GRISTMILL_TEST_KEY", "") == "Authorization: Bearer sk-env");
  CHECK(**keys.authorization("", file.path()) == "Authorization: Bearer sk-file");
  ::unsetenv("GRISTMILL_TEST_KEY");
  CHECK(**keys.authorization("GRISTMILL_TEST_KEY", "") == "Authorization: Bearer sk-env");
}

TEST_CASE("what editors and shells leave around a key is no part of it") {
  for (const char* text : {"\xEF\xBB\xBFsk-key\r\n", " sk-key ", "sk-key\n"}) {
    ApiKeys keys;
    ::setenv("GRISTMILL_TEST_KEY", text, 1);
    const KeyFile file{text};
    CHECK(**keys.authorization("GRISTMILL_TEST_KEY", "") == "Authorization: Bearer sk-key");
    CHECK(**keys.authorization("", file.path()) == "Authorization: Bearer sk-key");
  }
  ::setenv("GRISTMILL_TEST_KEY", " \t", 1);
  CHECK_FALSE(ApiKeys{}.authorization("GRISTMILL_TEST_KEY", ""));
  ::unsetenv("GRISTMILL_TEST_KEY");
}

TEST_CASE("a key file that can be read once is refused before it is") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  REQUIRE(::write(ends[1], "sk-key\n", 7) == 7);
  const std::string path = "/proc/self/fd/" + std::to_string(ends[0]);
  for (const auto owner : {ApiKeys::Owner::worker, ApiKeys::Owner::command}) {
    const auto line = ApiKeys{owner}.authorization("", path);
    REQUIRE_FALSE(line);
    CHECK_THAT(line.error().message, Catch::Contains("a pipe or a device"));
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a missing key names its variable or file and the side that lacks it") {
  ApiKeys keys;
  ::unsetenv("GRISTMILL_TEST_KEY");
  const auto env = keys.authorization("GRISTMILL_TEST_KEY", "");
  REQUIRE_FALSE(env);
  CHECK_THAT(env.error().message,
             Catch::Contains("GRISTMILL_TEST_KEY") && Catch::Contains("this worker"));
  const auto file = keys.authorization("", "/nowhere/key");
  REQUIRE_FALSE(file);
  CHECK_THAT(file.error().message,
             Catch::Contains("/nowhere/key") && Catch::Contains("this worker"));
  CHECK_FALSE(keys.authorization("", "/"));
  CHECK_FALSE(keys.authorization("", KeyFile{" \n"}.path()));
}

TEST_CASE("a key that was missing is found once it is there") {
  ApiKeys keys;
  ::unsetenv("GRISTMILL_TEST_KEY");
  REQUIRE_FALSE(keys.authorization("GRISTMILL_TEST_KEY", ""));
  ::setenv("GRISTMILL_TEST_KEY", "late", 1);
  CHECK(keys.authorization("GRISTMILL_TEST_KEY", ""));
  ::unsetenv("GRISTMILL_TEST_KEY");
}

TEST_CASE("a key with a line break is refused and not repeated in the message") {
  ApiKeys keys;
  ::setenv("GRISTMILL_TEST_KEY", "CANARY\r\nX-Admin: 1", 1);
  const auto line = keys.authorization("GRISTMILL_TEST_KEY", "");
  ::unsetenv("GRISTMILL_TEST_KEY");
  REQUIRE_FALSE(line);
  CHECK_THAT(line.error().message, !Catch::Contains("CANARY") && !Catch::Contains("X-Admin"));
  const KeyFile file{"CANARY\nsecond line"};
  REQUIRE_FALSE(keys.authorization("", file.path()));
  CHECK_THAT(keys.authorization("", file.path()).error().message, !Catch::Contains("CANARY"));
}

TEST_CASE("a descriptor limit that is too low says what to raise and what would fit") {
  CHECK(check_descriptor_limit(1));
  const auto result = check_descriptor_limit(std::uint64_t{1} << 40);
  REQUIRE_FALSE(result);
  CHECK_THAT(result.error().message,
             Catch::Contains("LimitNOFILE=") && Catch::Contains("--concurrency"));
  // No call at a time is no advice.
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit few{32, 32};
    ::setrlimit(RLIMIT_NOFILE, &few);
    const auto none = check_descriptor_limit(4);
    ::_exit(!none && none.error().message.find("--concurrency") == std::string::npos ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

} // namespace api_keys_test
