// A job's inputs on disk: what they were when the job began, what a link may not lead to, and how
// many descriptors they cost.
#include "coordinator/inputs/digest.hpp"
#include "coordinator/inputs/file_source.hpp"
#include "coordinator/inputs/finder.hpp"
#include "tests/unit/worker/descriptor_limit_guard.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace file_source_test {

using namespace gristmill;
using namespace gristmill::coordinator;
namespace fs = std::filesystem;

namespace {

struct Disk {
  Disk() {
    char name[] = "/tmp/gristmill-source-test-XXXXXX";
    path = fs::canonical(::mkdtemp(name));
    root = path / "data";
    fs::create_directories(root / "docs");
    fs::create_directories(path / "outside");
    write("outside/secret.txt", "secret");
  }
  ~Disk() { fs::remove_all(path); }
  std::string write(const std::string& name, std::string_view text) const {
    std::ofstream{path / name, std::ios::binary} << text;
    return path / name;
  }
  InputRoots roots() const { return InputRoots{{root}}; }
  fs::path path, root;
};

InputSpec as_found(const std::string& path) {
  const auto opened = InputRoots{}.open_file(path);
  REQUIRE(opened);
  return input_as_found(path, "in.txt", opened->about);
}

Result<std::string> text_of(intake::ByteSource& source, std::uint32_t input = 0) {
  std::string bytes(1'000, '\0');
  const auto got = source.read(input, 0, bytes);
  GRISTMILL_TRY(got);
  return bytes.substr(0, *got);
}

// What the job reads of its first input; an error of any step.
Result<std::string> first_text(const std::vector<InputSpec>& inputs, const InputRoots& roots = {}) {
  auto source = FileSource::open(inputs, fs::temp_directory_path(), {roots, nullptr});
  GRISTMILL_TRY(source);
  return text_of(**source);
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator{"/proc/self/fd"}, fs::directory_iterator{}));
}

} // namespace

TEST_CASE("an input that is not what the job began with is an error, whichever way it came in") {
  const Disk disk;
  const std::string file = disk.write("data/in.txt", "0123456789");
  std::vector<InputSpec> inputs{as_found(file)};
  const auto way = GENERATE(as<std::string>{}, "a file", "a piece of a file", "a list");
  const auto change = GENERATE(as<std::string>{}, "nothing", "longer", "shorter", "modified");
  CAPTURE(way, change);
  if (way == "a piece of a file") {
    inputs[0].offset = 2;
    inputs[0].bytes = 4;
  }
  if (way == "a list") {
    const std::string text = to_json(inputs[0]) + "\n";
    inputs = {listed_input(disk.write("data/list", text), 1, text.size(), digest_of_list(text))};
  }
  if (change == "longer") disk.write("data/in.txt", "0123456789+");
  if (change == "shorter") disk.write("data/in.txt", "012345678");
  if (change == "modified")
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds{1});
  const auto text = first_text(inputs, disk.roots());
  if (change == "nothing") {
    CHECK(text.value() == (way == "a piece of a file" ? "2345" : "0123456789"));
    return;
  }
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ErrorCode::bad_input);
  CHECK(text.error().message.find("in.txt: expected the ") != std::string::npos);
  CHECK(text.error().message.find("that the job began with") != std::string::npos);
}

TEST_CASE("a file that is cut while it is read is an error, never a shorter input") {
  const Disk disk;
  const std::string file = disk.write("data/in.txt", std::string(4'000, 'x'));
  InputSpec input = as_found(file);
  const auto way = GENERATE(as<std::string>{}, "a file", "a piece of a file");
  const std::uint64_t left = GENERATE(0, 1, 1'000, 1'500, 3'999);
  CAPTURE(way, left);
  if (way == "a piece of a file") {
    input.offset = 2;
    input.bytes = 3'998;
  }
  auto source = FileSource::open({input}, disk.path, {disk.roots(), nullptr}).value();
  CHECK(text_of(*source).value().size() == 1'000);
  fs::resize_file(file, left);
  std::string bytes(1'000, '\0');
  Result<std::size_t> got{0};
  for (std::uint64_t at = 1'000; got && at < input.bytes; at += bytes.size())
    got = source->read(0, at, bytes);
  REQUIRE_FALSE(got);
  CHECK(got.error().code == ErrorCode::bad_input);
  CHECK_THAT(got.error().message, Catch::Contains("in.txt: expected the 4000 bytes") &&
                                      Catch::Contains(fmt::format("got {}", left)));
  // What grows is read to the end that it has.
  disk.write("data/in.txt", std::string(5'000, 'x'));
  CHECK(source->read(0, 3'500, bytes).value() > 0);
}

TEST_CASE("an input that was only touched is what the job began with, by its content") {
  const Disk disk;
  const std::string file = disk.write("data/in.txt", "0123456789");
  InputSpec input = as_found(file);
  REQUIRE(InputDigests{1'000}.take(input));
  const auto way = GENERATE(as<std::string>{}, "a file", "a list");
  std::vector<InputSpec> inputs{input};
  if (way == "a list") {
    const std::string text = to_json(input) + "\n";
    inputs = {listed_input(disk.write("data/list", text), 1, text.size(), digest_of_list(text))};
  }
  const auto touch = [&] {
    fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds{1});
  };
  touch();
  CHECK(first_text(inputs, disk.roots()).value() == "0123456789");
  disk.write("data/in.txt", "9876543210");
  touch();
  const auto text = first_text(inputs, disk.roots());
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ErrorCode::bad_input);
  CHECK_THAT(text.error().message, Catch::Contains("that the job began with") &&
                                       Catch::Contains("as many of another content"));
}

TEST_CASE("digests are taken of whole files within a bound") {
  const Disk disk;
  InputSpec a = as_found(disk.write("a", "12345")), b = as_found(disk.write("b", "1234567")),
            c = as_found(disk.write("c", "12345"));
  InputDigests digests{12};
  for (InputSpec* input : {&a, &b, &c}) REQUIRE(digests.take(*input));
  CHECK(a.digest.size() == 32);
  CHECK(b.digest.size() == 32);
  CHECK(a.digest != b.digest);
  CHECK(c.digest.empty()); // beyond the bound
  InputSpec piece = as_found(disk.path / "a"), unseen{disk.path / "a", "a"};
  piece.offset = 1;
  for (InputSpec* input : {&piece, &unseen}) {
    REQUIRE(InputDigests{100}.take(*input));
    CHECK(input->digest.empty());
  }
}

TEST_CASE("an input that was not looked at is read as it is") {
  const Disk disk;
  const std::string file = disk.write("data/in.txt", "text");
  CHECK(first_text({InputSpec{file, "in.txt"}}).value() == "text");
}

TEST_CASE("nothing outside of the roots is opened, whatever has taken an input's place") {
  const Disk disk;
  disk.write("data/docs/in.txt", "text");
  fs::create_directories(disk.path / "data-2");
  disk.write("data-2/in.txt", "another root's neighbour");
  const std::string file = disk.root / "docs/in.txt";
  CHECK(first_text({InputSpec{file, "in.txt"}}, disk.roots()).value() == "text");
  const auto error_of = [&](const std::string& path) {
    const auto text = first_text({InputSpec{path, "in.txt"}}, disk.roots());
    INFO(path << ": " << (text ? *text : text.error().message));
    REQUIRE_FALSE(text);
    return text.error().code;
  };
  CHECK(error_of(disk.path / "outside/secret.txt") == ErrorCode::refused);
  CHECK(error_of(disk.path / "data-2/in.txt") == ErrorCode::refused);
  CHECK(error_of(disk.root / "../outside/secret.txt") == ErrorCode::refused);
  CHECK(error_of(disk.root / "docs") == ErrorCode::bad_input);
  CHECK(error_of(disk.root / "missing") == ErrorCode::bad_input);
  const auto target = GENERATE(as<std::string>{}, "../../outside/secret.txt", "ABSOLUTE");
  const std::string leads_to =
      target == "ABSOLUTE" ? (disk.path / "outside/secret.txt").string() : target;
  fs::remove(file);
  fs::create_symlink(leads_to, file);
  CHECK(error_of(file) == ErrorCode::refused);
  // A directory on the way.
  fs::remove(file);
  fs::remove(disk.root / "docs");
  fs::create_directory_symlink("../outside", disk.root / "docs");
  CHECK(error_of(disk.root / "docs/secret.txt") == ErrorCode::refused);
  // One that stays within leads to what is there.
  disk.write("data/other.txt", "other");
  fs::create_symlink("other.txt", disk.root / "link.txt");
  CHECK(first_text({InputSpec{disk.root / "link.txt", "in.txt"}}, disk.roots()).value() == "other");
  CHECK(InputRoots::are_possible());
}

TEST_CASE("a list that was exchanged after it was opened is an error") {
  const Disk disk;
  std::string text;
  for (int n = 0; n < 2'000; ++n)
    text += to_json(InputSpec{disk.path / "data/in.txt", fmt::format("{}", n)}) + "\n";
  disk.write("data/in.txt", "text");
  const std::string path = disk.write("data/list", text);
  auto source = FileSource::open({listed_input(path, 2'000, text.size(), digest_of_list(text))},
                                 disk.path, {disk.roots(), nullptr});
  REQUIRE(source);
  CHECK((*source)->name_of(0).value() == "0");
  disk.write("data/list.new", text);
  fs::rename(disk.path / "data/list.new", path);
  CHECK((*source)->name_of(0).value() == "0"); // it is in memory
  const auto name = (*source)->name_of(1'999);
  REQUIRE_FALSE(name);
  CHECK(name.error().code == ErrorCode::bad_input);
}

TEST_CASE("the jobs of a process hold so many inputs open together, and read them all the same") {
  const Disk disk;
  const auto held = std::make_shared<OpenInputs>(4);
  const std::size_t before = open_descriptors();
  {
    std::vector<std::unique_ptr<intake::ByteSource>> sources;
    for (int n = 0; n < 12; ++n) {
      const std::string file = disk.write(fmt::format("data/{}.txt", n), fmt::format("text {}", n));
      sources.push_back(
          FileSource::open({as_found(file)}, disk.path, {disk.roots(), held}).value());
    }
    CHECK(open_descriptors() == before); // one that waits costs none
    for (int round = 0; round < 3; ++round)
      for (std::size_t n = 0; n < sources.size(); ++n) {
        CHECK(text_of(*sources[n]).value() == fmt::format("text {}", n));
        CHECK(open_descriptors() <= before + 4);
      }
    CHECK(open_descriptors() == before + 4);
    // An input that another job drove out is looked at again when it is opened again.
    disk.write("data/0.txt", "another text");
    CHECK(text_of(*sources[0]).error().message.find("began with") != std::string::npos);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("where no descriptor is left, another job's input makes room; without any it is said") {
  const Disk disk;
  const auto held = std::make_shared<OpenInputs>(4);
  const std::string a = disk.write("data/a.txt", "text a"), b = disk.write("data/b.txt", "text b");
  const auto first = FileSource::open({as_found(a)}, disk.path, {{}, held}).value();
  const auto second = FileSource::open({as_found(b)}, disk.path, {{}, held}).value();
  CHECK(text_of(*first).value() == "text a");
  {
    const test::NoMoreDescriptors none;
    CHECK(text_of(*second).value() == "text b");
    CHECK(text_of(*first).value() == "text a");
    held->let_go_one();
    const test::NoMoreDescriptors none_at_all;
    const auto text = text_of(*second);
    REQUIRE_FALSE(text);
    CHECK(text.error().code == ErrorCode::unavailable);
    CHECK(FileSource::open({InputSpec{a, "a"}}, disk.path).error().code == ErrorCode::unavailable);
  }
  CHECK(text_of(*second).value() == "text b");
}

} // namespace file_source_test
