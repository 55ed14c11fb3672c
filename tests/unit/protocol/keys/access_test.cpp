#include "protocol/keys/access.hpp"
#include "protocol/text/z85.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/stat.h>

namespace access_test {

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  Scratch() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Scratch() { fs::remove_all(path); }
  std::string file(const std::string& name, const std::string& text, unsigned mode = 0600) const {
    const std::string file = path + "/" + name;
    std::ofstream{file} << text;
    fs::permissions(file, fs::perms{mode});
    return file;
  }

  std::string path = (fs::temp_directory_path() / "access-XXXXXX").string();
};

std::string text_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

unsigned mode_of(const std::string& file) {
  struct stat info {};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

constexpr const char* address = "tcp://mill.example:7411";

} // namespace

TEST_CASE("Z85 says what its specification says") {
  const std::string bytes{"\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B", 8};
  CHECK(z85_encode(bytes) == "HelloWorld");
  CHECK(z85_decode("HelloWorld") == bytes);
  CHECK_FALSE(z85_decode("HelloWorl"));
  CHECK_FALSE(z85_decode("Hello orld"));
  CHECK(z85_decode("%nSc0") == std::string(4, '\xff'));
  CHECK_FALSE(z85_decode("%nSc1")); // one more than four bytes hold
  CHECK_FALSE(z85_decode("#####"));
}

TEST_CASE("generated keys fit each other") {
  const Scratch scratch;
  const std::string directory = scratch.path + "/new/keys";
  const auto told = generate_keys(directory, address);
  REQUIRE(told);
  const auto coordinator = read_coordinator_keys(directory);
  REQUIRE(coordinator);
  const auto access = read_worker_access(directory + "/worker.access");
  REQUIRE(access);
  CHECK(access->address == address);
  CHECK(access->server_key == coordinator->keys.public_key);
  CHECK(access->cluster == coordinator->cluster);
  CHECK(coordinator->cluster.size() == 32);
  const auto allowed = read_allowed_keys(coordinator->allow_file);
  REQUIRE(allowed);
  CHECK(*allowed == AllowedKeys{{access->keys.public_key, access->name}});
  const auto from_directory = read_worker_access(directory);
  REQUIRE(from_directory);
  CHECK(from_directory->keys.secret_key == access->keys.secret_key);
  CHECK(from_directory->address.empty());
  const auto token = read_client_token(directory + "/client.token");
  REQUIRE(token);
  CHECK(token->size() == 64);
  CHECK_THAT(*told, Catch::Contains(fingerprint(coordinator->keys.public_key)) &&
                        Catch::Contains(fingerprint(access->keys.public_key)));
  CHECK_THAT(*told, !Catch::Contains(coordinator->keys.secret_key) &&
                        !Catch::Contains(access->keys.secret_key) && !Catch::Contains(*token));
}

TEST_CASE("key files are their owner's alone") {
  const Scratch scratch;
  const std::string directory = scratch.path + "/keys";
  REQUIRE(generate_keys(directory, address));
  CHECK(mode_of(directory) == 0700);
  int files = 0;
  for (const auto& entry : fs::directory_iterator{directory}) {
    CHECK(mode_of(entry.path()) == 0600);
    ++files;
  }
  CHECK(files == 5);
  const std::string key = directory + "/coordinator.key";
  for (const unsigned mode : {0640u, 0604u, 0660u, 0644u}) {
    fs::permissions(key, fs::perms{mode});
    const auto read = read_coordinator_keys(directory);
    REQUIRE_FALSE(read);
    CHECK_THAT(read.error().message, Catch::Contains("chmod 600 " + key));
  }
}

TEST_CASE("no file is overwritten") {
  const Scratch scratch;
  const std::string token = scratch.file("client.token", "mine");
  const auto told = generate_keys(scratch.path, address);
  REQUIRE_FALSE(told);
  CHECK(told.error().code == ErrorCode::conflict);
  CHECK_THAT(told.error().message, Catch::Contains(token) && Catch::Contains("never overwritten"));
  CHECK(text_of(token) == "mine");
  CHECK_FALSE(fs::exists(scratch.path + "/coordinator.key"));
}

TEST_CASE("a directory that others may write to takes no keys") {
  const Scratch scratch;
  fs::permissions(scratch.path, fs::perms{0777});
  const auto told = generate_keys(scratch.path, address);
  REQUIRE_FALSE(told);
  CHECK_THAT(told.error().message, Catch::Contains("chmod 700 " + scratch.path));
}

TEST_CASE("the address in a worker's file is one that can be dialled") {
  const Scratch scratch;
  for (const char* wrong :
       {"", "mill.example:7411", "tcp://mill.example", "tcp://*:7411", "tcp://0.0.0.0:7411",
        "tcp://mill.example:0", "tcp://mill:7411\nname = x"}) {
    const auto told = generate_keys(scratch.path + "/keys", wrong);
    REQUIRE_FALSE(told);
    CHECK(told.error().code == ErrorCode::usage);
    CHECK_FALSE(fs::exists(scratch.path + "/keys"));
  }
}

TEST_CASE("a damaged key file is refused with its place, and without its secret") {
  const Scratch scratch;
  const std::string secret = make_key_pair().secret_key;
  struct Case {
    std::string text, sentence;
  };
  for (const Case& c :
       {Case{"cluster = c\nname = n\nsecret_key = " + secret, "server_key"},
        Case{"cluster = c\nname = n\nserver_key = " + secret, "secret_key"},
        Case{"cluster = c\nname = n\nserver_key = " + secret + "\nsecret_key = " + secret.substr(1),
             "39 characters"},
        Case{"cluster = c\nno equals sign\n", ":2: expected"}, Case{"", "cluster"}}) {
    const auto read = read_worker_access(scratch.file("damaged.access", c.text));
    REQUIRE_FALSE(read);
    CHECK_THAT(read.error().message, Catch::Contains(c.sentence) && Catch::Contains(scratch.path) &&
                                         !Catch::Contains(secret.substr(1, 20)));
  }
  CHECK(read_worker_access(scratch.path + "/absent").error().code == ErrorCode::not_found);
  CHECK(read_client_token(scratch.file("token", "short\n")).error().code == ErrorCode::bad_input);
}

TEST_CASE("an allow list has one name for each key") {
  const Scratch scratch;
  const std::string ada = make_key_pair().public_key, bob = make_key_pair().public_key;
  const auto good = read_allowed_keys(
      scratch.file("good", "# who\n\n  ada\t" + ada + "\r\nbob   " + bob + "\n#" + ada));
  REQUIRE(good);
  CHECK(*good == AllowedKeys{{ada, "ada"}, {bob, "bob"}});
  const auto twice = read_allowed_keys(scratch.file("twice", "ada " + ada + "\nbob " + ada + "\n"));
  REQUIRE_FALSE(twice);
  CHECK_THAT(twice.error().message, Catch::Contains("twice:2"));
  CHECK_FALSE(read_allowed_keys(scratch.file("keyless", "ada\n")));
  CHECK_FALSE(read_allowed_keys(scratch.file("open", "ada " + ada + "\n", 0644)));
}

TEST_CASE("only what stays on the machine goes without keys") {
  for (const char* near :
       {"tcp://127.0.0.1:7411", "tcp://127.1.2.3:0", "tcp://localhost:7411", "ipc:///run/mill"})
    CHECK_FALSE(leaves_this_machine(near));
  for (const char* far :
       {"tcp://0.0.0.0:7411", "tcp://*:7411", "tcp://10.0.0.1:7411", "tcp://127.0.0.1.example:7411",
        "tcp://localhost.example:7411", "tcp://127.0.0.1:0;10.0.0.1:7411", "tipc://{1,2,3}",
        "udp://127.0.0.1:1", "inproc://mill"})
    CHECK(leaves_this_machine(far));
}

} // namespace access_test
