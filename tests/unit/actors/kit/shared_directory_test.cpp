// A directory that several machines share: what is found again, and what leads out of it.
#include "actors/kit/shared_directory.hpp"
#include "protocol/text/crc32c.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <stdlib.h>

namespace shared_directory_test {

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

struct Temp {
  Temp() {
    std::string name = (fs::current_path() / "shared_directory_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Temp() {
    std::error_code ignored;
    fs::permissions(path, fs::perms::owner_all, ignored);
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

} // namespace

TEST_CASE("What is written is read again, and the test of a directory leaves nothing",
          "[shared_directory]") {
  const Temp temp;
  const auto directory = SharedDirectory::open(temp.path.string());
  REQUIRE(directory);
  CHECK(fs::is_empty(temp.path));
  REQUIRE(directory->make_directory("a"));
  REQUIRE(directory->make_directory("a")); // somebody else may have made it
  REQUIRE(directory->write("a/word", "first"));
  REQUIRE(directory->write("a/word", "2nd"));
  CHECK(directory->read("a/word").value() == "2nd");
  CHECK_FALSE(directory->read("a/none"));
  const auto file = directory->create("a/new");
  REQUIRE(file);
  REQUIRE(file->write(0, "0123456789"));
  REQUIRE(file->sync());
  CHECK_FALSE(directory->create("a/new")); // it is its session's alone
  const auto reader = directory->open_to_read("a/new");
  REQUIRE(reader);
  CHECK(directory->read_range(*reader, 2, 3, crc32c("234")).value() == "234");
  CHECK(directory->read_range(*reader, 7, 3, crc32c("789")).value() == "789");
  CHECK_THAT(directory->read_range(*reader, 8, 3, crc32c("89")).error().message,
             Catch::Contains("at byte 8 of") && Catch::Contains("a/new"));
  CHECK_THAT(directory->read_range(*reader, 2, 3, crc32c("235")).error().message,
             Catch::Contains("at byte 2 of") && Catch::Contains("was changed"));
}

TEST_CASE("No name and no link leads out of a shared directory", "[shared_directory]") {
  const Temp temp;
  fs::create_directories(temp.path / "in/below");
  const auto directory = SharedDirectory::open((temp.path / "in").string());
  REQUIRE(directory);
  REQUIRE(directory->write("below/file", "x"));
  fs::create_symlink("../below/file", temp.path / "in/below/good");
  fs::create_symlink("../../outside", temp.path / "in/below/relative");
  fs::create_symlink(temp.path / "in/below/file", temp.path / "in/absolute");
  CHECK(directory->read("below/good"));
  for (const char* name : {"../outside", "/etc/passwd", "below/relative", "absolute"}) {
    INFO(name);
    CHECK(directory->read(name).error().code == ErrorCode::refused);
    CHECK_FALSE(directory->write(name, "x"));
  }
  CHECK_FALSE(fs::exists(temp.path / "outside"));
}

TEST_CASE("What is no directory is not shared", "[shared_directory]") {
  const Temp temp;
  CHECK_FALSE(SharedDirectory::open((temp.path / "none").string()));
  { const auto made = SharedDirectory::open(temp.path.string())->write("file", "x"); }
  const auto file = SharedDirectory::open((temp.path / "file").string());
  REQUIRE_FALSE(file);
  CHECK_THAT(file.error().message,
             Catch::StartsWith("expected a directory that can be read, got "));
}

} // namespace shared_directory_test
